"""Weights and inputs that follow from names and shapes, so that golden outputs need no stored weights.

The golden files hold what published reference implementations compute from exactly these values. Names are the
reference's own: whoever compares against them also checks how names are converted.
"""
from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmrefseg.utils.collect_env import usable_cores

_GAINS = ('weight', 'gamma')
_EMBEDDINGS = ('positional_embedding', 'pos_embed', 'token')


class Golden(NamedTuple):
    """A golden file.

    Args:
        meta: how the numbers came about; ``state_dict`` (name → shape) and ``seed`` among it.
        arrays: name → what the reference computed.
    """

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


def read_golden(path: str | Path) -> Golden:
    """Read a golden file (``.npz`` with a JSON string ``meta``)."""
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    return Golden(json.loads(str(arrays.pop('meta'))), arrays)


def _scaled(name: str, noise: np.ndarray) -> np.ndarray:
    """Bring standard normal noise to a size that suits the kind of parameter."""
    if name.endswith('running_var'):
        return 1 + 0.1 * np.abs(noise)
    if name.endswith(('running_mean', 'bias')):
        return 0.1 * noise
    if noise.ndim < 2 and name.endswith(_GAINS):
        return 1 + 0.1 * noise
    if any(part in name for part in _EMBEDDINGS):
        return 0.02 * noise * (50 if 'token_embedding' in name else 1)
    return noise / np.sqrt(np.prod(noise.shape[1:])) if noise.ndim >= 2 else noise


def golden_weights(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Tensor]:
    """Make the weights of a golden file.

    Every entry is drawn from a generator of its own, seeded with the checksum of its name.

    Args:
        shapes: name in the reference's state dict → shape.
        seed: added to the checksum. Default 0.

    Returns:
        name → tensor; float32, but int64 zeros for BatchNorm's counters.
    """
    def draw(name: str, shape: Sequence[int]) -> Tensor:
        if name.endswith('num_batches_tracked'):
            return torch.zeros(tuple(shape), dtype=torch.int64)
        generator = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
        noise = np.asarray(generator.standard_normal(tuple(shape)), dtype=np.float32)
        return torch.from_numpy(np.asarray(_scaled(name, noise), dtype=np.float32))

    with ThreadPoolExecutor(usable_cores()) as pool:  # NumPy draws without the interpreter's lock
        return dict(zip(shapes, pool.map(draw, shapes, shapes.values()), strict=True))


def golden_images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Make the images (batch, 3, height, width) of a golden file; a smaller batch is the start of a larger one."""
    generator = np.random.RandomState(1000 + seed)
    return torch.from_numpy(generator.standard_normal((batch, 3, height, width)).astype(np.float32))
