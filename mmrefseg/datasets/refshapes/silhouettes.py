"""The shapes as outlines of one area, and how an outline becomes pixels."""
import math
from types import MappingProxyType

import cv2
import numpy as np

SUPERSAMPLING = 4
"""Sub-pixels a side when an outline is filled: gives smooth edges without OpenCV's line blur."""


def _regular(corners: int, radii: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """A star-shaped outline with its first corner at the top; the radii alternate."""
    angles = 2 * math.pi * np.arange(corners) / corners - math.pi / 2
    radius = np.resize(np.array(radii), corners)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _square() -> np.ndarray:
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)


def _cross() -> np.ndarray:
    arm = 0.38
    quarter = np.array([[arm, -1], [arm, -arm], [1, -arm]], dtype=float)
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn.T for turn in turns])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1)


def _unit_area(outline: np.ndarray) -> np.ndarray:
    """Scale an outline to area 1 and centre its bounding box, so that size means the same for every shape."""
    outline = outline - (outline.min(axis=0) + outline.max(axis=0)) / 2
    x, y = outline.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return outline / math.sqrt(area)


OUTLINES = MappingProxyType({
    'circle': _unit_area(_regular(48)),
    'square': _unit_area(_square()),
    'triangle': _unit_area(_regular(3)),
    'star': _unit_area(_regular(10, radii=(1.0, 0.45))),
    'cross': _unit_area(_cross()),
    'heart': _unit_area(_heart()),
})
SHAPES = tuple(OUTLINES)


def coverage(shape: str, side: float, angle: float) -> np.ndarray:
    """Draw one shape.

    Args:
        shape: one of ``SHAPES``.
        side: square root of the shape's area, in pixels.
        angle: clockwise turn in radians.

    Returns:
        Float32 (h, w) in [0, 1], the share of each pixel that the shape covers; the patch is as tight as the shape.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    outline = OUTLINES[shape] @ np.array([[cos, sin], [-sin, cos]]) * side
    outline -= outline.min(axis=0)
    width, height = (math.ceil(extent) for extent in outline.max(axis=0))
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    # OpenCV fills up to and with the pixel of a corner; the half sub-pixel undoes that growth.
    corners = np.rint(outline * SUPERSAMPLING - 0.5).astype(np.int32)
    cv2.fillPoly(fine, [corners], 255)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
