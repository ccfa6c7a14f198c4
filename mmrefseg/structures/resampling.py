"""Interpolation as products with matrices: what is linear and separable runs on any device, in batches."""
from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError

BLOCK = 64  # rows of the result at once: they need few samples, and stay in the cache until they are compared


def _linear(distance: np.ndarray) -> np.ndarray:
    return np.clip(1 - distance, 0, None)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys's kernel with a = -0.75, that of OpenCV and PyTorch."""
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


_KERNELS = {'bilinear': (_linear, 1), 'bicubic': (_cubic, 2)}


def interpolation_taps(size: int, positions: np.ndarray, interpolation: str = 'bicubic',
                       outside: str = 'edge') -> tuple[np.ndarray, np.ndarray]:
    """Which of some samples make up the value at each of some positions between them, and how much they count.

    Args:
        size: number of samples; their positions are 0, 1, …
        positions: (N,), where values are wanted.
        interpolation: ``'bilinear'`` or ``'bicubic'``. Default ``'bicubic'``.
        outside: what stands beyond the samples: ``'edge'`` for the nearest one, ``'zero'`` for 0. Default ``'edge'``.

    Returns:
        Samples, int64 (N, T), and their weights, float64 (N, T), with T of 2 or 4.

    Raises:
        InputError: ``interpolation`` or ``outside`` is unknown.
    """
    if interpolation not in _KERNELS or outside not in ('edge', 'zero'):
        raise InputError(f"interpolation is {interpolation!r} and outside {outside!r}; they must be 'bilinear' or "
                         "'bicubic', and 'edge' or 'zero'")
    kernel, reach = _KERNELS[interpolation]
    positions = np.asarray(positions, dtype=np.float64)
    taps = np.floor(positions)[:, None] + np.arange(1 - reach, 1 + reach)
    weights = kernel(np.abs(positions[:, None] - taps))
    if outside == 'zero':
        weights[(taps < 0) | (taps >= size)] = 0
    return taps.clip(0, size - 1).astype(np.int64), weights


def resampling_matrix(size: int, new_size: int, interpolation: str = 'bicubic',
                      align_corners: bool = False) -> np.ndarray:
    """What ``torch.nn.functional.interpolate`` does along one axis, without antialiasing.

    ``resampling_matrix(h, H) @ image @ resampling_matrix(w, W).T`` enlarges or shrinks an image.

    Args:
        size: number of samples.
        new_size: number of samples that are wanted.
        interpolation: ``'bilinear'`` or ``'bicubic'``. Default ``'bicubic'``.
        align_corners: whether the outer samples' centres meet, instead of their outer borders. Default False.

    Returns:
        (new_size, size), float64.

    Raises:
        InputError: ``interpolation`` is unknown.
    """
    pixels = np.arange(new_size)
    if align_corners:
        positions = pixels * ((size - 1) / max(new_size - 1, 1))
    else:
        positions = (pixels + 0.5) * (size / new_size) - 0.5
        if interpolation == 'bilinear':
            positions = positions.clip(0, None)
    taps, weights = interpolation_taps(size, positions, interpolation)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (pixels[:, None], taps), weights)
    return matrix


class Axis(NamedTuple):
    """How one axis is resampled.

    Args:
        matrix: float32 (N, size), from samples to what is wanted of them.
        bands: of each ``BLOCK`` rows of ``matrix`` the first sample that counts, and the one behind the last.
    """

    matrix: Tensor
    bands: tuple[tuple[int, int], ...]


def _bands(matrix: np.ndarray) -> tuple[tuple[int, int], ...]:
    used = (np.flatnonzero(matrix[start:start + BLOCK].any(0)) for start in range(0, len(matrix), BLOCK))
    return tuple((int(samples[0]), int(samples[-1]) + 1) if len(samples) else (0, 1) for samples in used)


@lru_cache(maxsize=64)
def axis_back_to_original(size: int, input_size: int, original_size: int, scale: float, shift: float,
                          device: torch.device) -> Axis:
    """One axis of the way from probabilities in the input's frame to the original image, as CRIS is evaluated.

    Bicubic to the input's size with aligned corners, then cubic onto the original with 0 outside of the input. The
    last 64 are kept.

    Args:
        size: number of probabilities along the axis.
        input_size: pixels of the network's input along the axis.
        original_size: pixels of the original image along the axis.
        scale: input pixels per original pixel.
        shift: place of the original's first pixel in the input.
        device: where the matrix is wanted.
    """
    taps, weights = interpolation_taps(input_size, np.arange(original_size) * scale + shift, outside='zero')
    enlarge = resampling_matrix(size, input_size, align_corners=True)
    matrix = sum(weights[:, i, None] * enlarge[taps[:, i]] for i in range(taps.shape[1])).astype(np.float32)
    with torch.inference_mode(False):
        on_device = torch.from_numpy(matrix)
        if device.type == 'cuda':  # from pinned memory, as the host would wait for the device otherwise
            on_device = on_device.pin_memory().to(device, non_blocking=True)
        return Axis(on_device.to(device), _bands(matrix))


def exceeds(probability: Tensor, rows: Axis, columns: Axis, threshold: float) -> Tensor:
    """Where resampled probabilities exceed a threshold.

    On CPUs the map of floats, which may be large, is never held as a whole, and the products leave out what is 0.

    Args:
        probability: (B, h, w), float32.
        rows: from h to H.
        columns: from w to W.
        threshold: the threshold.

    Returns:
        (B, H, W), boolean, on the same device.
    """
    with torch.autocast(probability.device.type, enabled=False):
        wide = probability @ columns.matrix.T
        if probability.device.type != 'cpu':
            return rows.matrix @ wide > threshold
        mask = torch.empty(len(wide), len(rows.matrix), wide.shape[2], dtype=torch.bool)
        for sample, sample_mask in zip(wide, mask, strict=True):
            for i, (first, end) in enumerate(rows.bands):
                block = slice(i * BLOCK, (i + 1) * BLOCK)
                torch.gt(rows.matrix[block, first:end] @ sample[first:end], threshold, out=sample_mask[block])
        return mask
