"""Where on its image a mask lies."""
from __future__ import annotations

import numpy as np

ROWS, COLUMNS = ('top', 'middle', 'bottom'), ('left', 'centre', 'right')


def position_of(mask: np.ndarray) -> str:
    """The ninth of the image in which a mask's centre of mass lies, such as ``'top left'``; ``''`` for an empty mask.

    Args:
        mask: (H, W), everything but 0 is inside.
    """
    inside = mask != 0
    thirds = []
    for axis, names in ((1, ROWS), (0, COLUMNS)):
        pixels = inside.sum(axis=axis)
        if not (total := int(pixels.sum())):
            return ''
        thirds.append(names[int(3 * (pixels @ np.arange(len(pixels))) // (total * len(pixels)))])
    return ' '.join(thirds)
