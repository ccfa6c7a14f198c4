"""The random generators of this process: their state, as data that a checkpoint may hold."""
from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from mmrefseg.errors import InputError

_NUMPY_WORDS = 624


def get_cpu_state() -> dict[str, Any]:
    """State of the generators of Python, NumPy and, on the CPU, PyTorch: tensors, numbers, strings and tuples."""
    _, words, position, has_gauss, gauss = np.random.get_state()
    return dict(
        python=random.getstate(),
        numpy=(torch.from_numpy(words.astype(np.int64)), int(position), int(has_gauss), float(gauss)),
        torch=torch.default_generator.get_state())


def set_cpu_state(state: dict[str, Any]) -> None:
    """Go on from what :func:`get_cpu_state` gave."""
    random.setstate(state['python'])
    words, position, has_gauss, gauss = state['numpy']
    # NumPy believes any position, and reads there.
    if not 0 <= position <= _NUMPY_WORDS:
        raise ValueError(f"position in NumPy's state is {position}")
    np.random.set_state(('MT19937', words.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.default_generator.set_state(state['torch'].cpu())


def get_state() -> dict[str, Any]:
    """State as of :func:`get_cpu_state`, and with ``cuda`` a list of that of each GPU, if any is in use."""
    return dict(get_cpu_state(), cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [])


def set_state(state: dict[str, Any]) -> None:
    """Go on from what :func:`get_state` gave; GPUs that aren't there are left out.

    Args:
        state: the state. It may come from a file that isn't trusted.

    Raises:
        InputError: it isn't such a state.
    """
    try:
        set_cpu_state(state)
        if torch.cuda.is_available():
            for device, of_device in zip(range(torch.cuda.device_count()), state['cuda'], strict=False):
                torch.cuda.set_rng_state(of_device.cpu(), device)
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f'no state of random generators: {error}') from error
