"""Drawing a mask on its image."""
from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from mmrefseg.errors import InputError

MASK_COLOUR = '#ff2d87'
_PAPER = 245


def fade_background(image: np.ndarray, mask: np.ndarray, fade: float = 0.65) -> np.ndarray:
    """Fade an image where a mask is not, so that the referent keeps the colours of which expressions speak.

    Args:
        image: RGB uint8 (H, W, 3); is not changed.
        mask: (H, W), everything but 0 is kept.
        fade: share of light grey in the rest, 0 to 1. Default 0.65.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: image and mask differ in size.
    """
    if mask.shape != image.shape[:2]:
        raise InputError(f'the mask is {mask.shape} (H, W), but its image {image.shape[:2]}; both must have one size')
    faded = ((1 - fade) * image + fade * _PAPER).round().astype(np.uint8)
    return np.where(mask[..., None] != 0, image, faded)


def show_mask(ax: Axes, image: np.ndarray, mask: np.ndarray | None = None, colour: str = MASK_COLOUR) -> None:
    """Show an image with a mask, the rest faded and the mask outlined; pixels of small images stay crisp.

    Args:
        ax: where to; loses frame and ticks.
        image: RGB uint8 (H, W, 3).
        mask: (H, W). Default None, the image alone.
        colour: of the outline. Default a pink that photographs rarely hold.
    """
    is_small = max(image.shape[:2]) < 300
    ax.imshow(image if mask is None else fade_background(image, mask), interpolation='nearest' if is_small else None)
    ax.set_axis_off()
    if mask is None or not mask.any():
        return
    height, width = mask.shape
    # Background around it closes the outline where the referent leaves the image.
    columns, rows = np.arange(-1, width + 1), np.arange(-1, height + 1)
    surrounded = np.pad(mask != 0, 1).astype(float)
    for thickness, ink in ((2.6, 'white'), (1.3, colour)):
        ax.contour(columns, rows, surrounded, levels=[0.5], colors=[ink], linewidths=thickness)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
