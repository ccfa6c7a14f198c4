"""The random generators of this process: their state, as data that a checkpoint may hold."""
from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import torch

from mmrefseg.errors import InputError

_WORDS = 624  # of a Mersenne Twister
# In PyTorch's state: how many words are left, whether it was seeded, and the place of the next one.
_TORCHS_PLACE = struct.Struct('=8xiiQ')


def get_cpu_state() -> dict[str, Any]:
    """State of the generators of Python, NumPy and, on the CPU, PyTorch: tensors, numbers, strings and tuples."""
    _, words, position, has_gauss, gauss = np.random.get_state()
    return dict(
        python=random.getstate(),
        numpy=(torch.from_numpy(words.astype(np.int64)), int(position), int(has_gauss), float(gauss)),
        torch=torch.default_generator.get_state())


def set_cpu_state(state: dict[str, Any]) -> None:
    """Go on from what :func:`get_cpu_state` gave.

    Args:
        state: that state; of a file, so that it is checked.
    """
    random.setstate(state['python'])
    words, position, has_gauss, gauss = state['numpy']
    # NumPy believes any position, and reads there; PyTorch goes on from the next word for as many as are left.
    if not 0 <= position <= _WORDS:
        raise ValueError(f"position in NumPy's state is {position}")
    left, _, following = _TORCHS_PLACE.unpack_from(state['torch'].cpu().numpy())
    if left + following > _WORDS + 1:
        raise ValueError(f"position in PyTorch's state is {following}, with {left} words to come")
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
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError, OverflowError, struct.error) as error:
        raise InputError(f'no state of random generators: {error}') from error
