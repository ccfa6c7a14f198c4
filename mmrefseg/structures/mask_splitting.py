"""Taking a mask of several things apart."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

from mmrefseg.errors import InputError

_PEAK = 0.7  # of a component's largest distance to its rim: a part that comes as far in is a thing of its own


def split_mask(mask: np.ndarray, by: str = 'components', min_pixels: int = 1) -> list[np.ndarray]:
    """Split a mask of several things into one mask per thing.

    Args:
        mask: (H, W), bool.
        by: ``'components'``, its connected components (at sides and corners); or ``'watershed'``, which also parts
            those that only touch, along their narrowest places. Default ``'components'``.
        min_pixels: parts of fewer pixels are left out. Default 1.

    Returns:
        Masks (H, W), bool, the largest first; their union is the mask but for what was left out.

    Raises:
        InputError: there is no such way.
    """
    if by not in _WAYS:
        raise InputError(f'a mask is taken apart by {" or ".join(map(repr, _WAYS))}, got {by!r}')
    labels = _WAYS[by](np.ascontiguousarray(mask, np.uint8))
    parts = [labels == number for number in range(1, int(labels.max(initial=0)) + 1)]
    return sorted((part for part in parts if part.sum() >= max(min_pixels, 1)), key=lambda part: -int(part.sum()))


def _components(mask: np.ndarray) -> np.ndarray:
    return cv2.connectedComponents(mask, connectivity=8)[1]


def _watershed(mask: np.ndarray) -> np.ndarray:
    mask = np.pad(mask, 2)  # OpenCV leaves out the rim of a picture
    number, labels = cv2.connectedComponents(mask, connectivity=8)
    components = np.asarray(labels, np.int64)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    deepest = np.zeros(number, np.float32)
    np.maximum.at(deepest, components, depth)
    seeds = cv2.connectedComponents(((depth > _PEAK * deepest[components]) & (mask > 0)).astype(np.uint8))[1]
    outside = seeds.max() + 1
    # Outside is a basin of its own behind a steep wall, so that no water runs through it.
    basins = np.where(mask > 0, seeds, outside).astype(np.int32)
    walls = np.where(mask > 0, np.uint8(0), np.uint8(255))
    flooded = cv2.watershed(cv2.merge([walls] * 3), basins)
    flooded[mask == 0] = 0
    flooded[(flooded < 0) | (flooded == outside)] = 0
    # Pixels where basins meet go to one beside them.
    while (left := (flooded == 0) & (mask > 0)).any():
        flooded[left] = cv2.dilate(flooded.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)[left]
    return flooded[2:-2, 2:-2]


_WAYS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {'components': _components, 'watershed': _watershed})
