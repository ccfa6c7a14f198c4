"""The EXIF orientation of images: how the stored pixels must be turned to stand upright."""
from __future__ import annotations

import cv2
import numpy as np

_TAG = 0x0112
_BYTE_ORDERS = {b'II*\0': 'little', b'MM\0*': 'big'}
# From 5 on rows and columns are exchanged first; then this is how cv2.flip mirrors.
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}


def orientation_of(exif: bytes) -> int:
    """The orientation that EXIF metadata declare.

    Args:
        exif: a TIFF structure, with or without ``Exif\\0\\0`` before it.

    Returns:
        1 (upright) to 8, as EXIF numbers them; 1 where the metadata are damaged or say nothing.
    """
    data = exif.removeprefix(b'Exif\0\0')
    order = _BYTE_ORDERS.get(data[:4])
    if order is None:
        return 1
    start = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[start:start + 2], order)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(data) - 9), 12):
        if int.from_bytes(data[entry:entry + 2], order) == _TAG:
            return known_orientation(int.from_bytes(data[entry + 8:entry + 10], order))
    return 1


def known_orientation(value: object) -> int:
    """An EXIF orientation that has a meaning, 1 to 8; 1 in place of any other.

    Args:
        value: the value of the tag.
    """
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exchanges_sides(orientation: int) -> bool:
    """Whether the upright picture is as wide as the stored one is high.

    Args:
        orientation: 1 to 8.
    """
    return orientation > 4


def turn_upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Turn the pixels of a file as its EXIF orientation says.

    Args:
        stored: (H, W) or (H, W, C).
        orientation: 1 to 8.

    Returns:
        (H, W), or (W, H) with an orientation from 5 on, and the channels.
    """
    turned = cv2.transpose(stored) if exchanges_sides(orientation) else stored
    return cv2.flip(turned, _FLIPS[orientation]) if orientation in _FLIPS else turned


def turn_back(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Undo :func:`turn_upright`: from upright pixels to those of the file.

    Args:
        upright: (H, W) or (H, W, C).
        orientation: 1 to 8.

    Returns:
        The stored pixels again.
    """
    turned = cv2.flip(upright, _FLIPS[orientation]) if orientation in _FLIPS else upright
    return cv2.transpose(turned) if exchanges_sides(orientation) else turned
