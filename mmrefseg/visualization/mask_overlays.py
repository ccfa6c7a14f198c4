"""Drawing a mask on its image."""
from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from mmrefseg.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MASK_COLOUR, TRUTH_COLOUR = '#ff2d87', '#00d47e'
_PAPER = 245
_LARGE = 300


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
    _check_sizes(image, mask)
    faded = cv2.LUT(image, ((1 - fade) * np.arange(256) + fade * _PAPER).round().astype(np.uint8))
    cv2.copyTo(image, (mask != 0).astype(np.uint8), faded)
    return faded


def shrink(image: np.ndarray, mask: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Bring an image and its mask to another size; a mask that would vanish keeps the pixels that it touches.

    Args:
        image: RGB uint8 (H, W, 3).
        mask: (H, W), everything but 0 is inside.
        scale: of both sides; above 1, pixels of small images become squares.

    Returns:
        RGB uint8 (h, w, 3) and bool (h, w).

    Raises:
        InputError: image and mask differ in size.
    """
    _check_sizes(image, mask)
    if scale == 1:
        return image, mask != 0
    size = [max(round(side * scale), 1) for side in image.shape[1::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    share = cv2.resize((mask != 0).astype(np.uint8) * 255, size, interpolation=how)
    if scale > 1 and max(image.shape[:2]) >= _LARGE:
        how = cv2.INTER_CUBIC  # pixels of small images stay crisp
    return cv2.resize(image, size, interpolation=how), share >= (128 if (share >= 128).any() else 1)


def outline_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image with the mask outlined, and the rest faded.

    Args:
        image: RGB uint8 (H, W, 3); is not changed.
        mask: bool (H, W).

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: image and mask differ in size.
    """
    picture = fade_background(image, mask)
    _draw_outline(picture, mask, MASK_COLOUR, 3)
    return picture


def tint_mask(image: np.ndarray, mask: np.ndarray, colour: str = MASK_COLOUR, opacity: float = 0.5) -> np.ndarray:
    """An image under a translucent mask.

    Args:
        image: RGB uint8 (H, W, 3); is not changed.
        mask: (H, W), everything but 0 is painted.
        colour: as matplotlib takes it. Default a pink that photographs rarely hold.
        opacity: share of the colour inside, 0 to 1. Default 0.5.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: image and mask differ in size.
    """
    _check_sizes(image, mask)
    picture, inside = image.copy(), mask != 0
    picture[inside] = ((1 - opacity) * image[inside] + opacity * _rgb(colour)).round().astype(np.uint8)
    return picture


def overlay_mask(image: np.ndarray, mask: np.ndarray, colour: str = MASK_COLOUR, opacity: float = 0.35,
                 thickness: int = 2) -> np.ndarray:
    """An image under a translucent mask with an outline.

    Args:
        image: RGB uint8 (H, W, 3); is not changed.
        mask: (H, W), everything but 0 is inside.
        colour: as matplotlib takes it. Default a pink that photographs rarely hold.
        opacity: share of the colour inside, 0 to 1; 0 leaves the outline alone. Default 0.35.
        thickness: of the outline in pixels, without the white on either side. Default 2.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: image and mask differ in size.
    """
    picture = tint_mask(image, mask, colour, opacity)
    _draw_outline(picture, mask != 0, colour, thickness)
    return picture


def heat_map(image: np.ndarray, probability: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """An image in grey under the colours of a map of probabilities: dark for 0, bright yellow for 1.

    Args:
        image: RGB uint8 (H, W, 3); is not changed.
        probability: floating point (H, W), 0 to 1; where it is NaN, the image stays grey.
        opacity: share of the colours, 0 to 1. Default 0.6.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: image and map differ in size.
    """
    _check_sizes(image, probability)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].repeat(3, axis=2)
    known = ~np.isnan(probability)
    colours = 255 * colormaps['inferno'](np.where(known, probability, 0).clip(0, 1))[:, :, :3]
    return np.where(known[:, :, None], (1 - opacity) * grey + opacity * colours, grey).round().astype(np.uint8)


def _draw_outline(picture: np.ndarray, mask: np.ndarray, colour: str, thickness: int) -> None:
    # Background around it closes the outline where the referent leaves the image.
    surrounded = np.pad(mask.astype(np.uint8), 1)
    outlines = cv2.findContours(surrounded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    for width, ink in ((thickness + 2, 'white'), (thickness, colour)):
        cv2.drawContours(picture, outlines, -1, _rgb(ink).tolist(), width, cv2.LINE_AA, offset=(-1, -1))


def _rgb(colour: str) -> np.ndarray:
    """Red, green and blue from 0 to 255; (3, )."""
    return np.array([round(255 * value) for value in to_rgb(colour)])


def _check_sizes(image: np.ndarray, mask: np.ndarray) -> None:
    if mask.shape != image.shape[:2]:
        raise InputError(f'the mask is {mask.shape} (H, W), but its image {image.shape[:2]}; both must have one size')


def show_mask(ax: Axes, image: np.ndarray, mask: np.ndarray | None = None, colour: str = MASK_COLOUR) -> None:
    """Show an image with a mask, the rest faded and the mask outlined; pixels of small images stay crisp.

    Args:
        ax: where to; loses frame and ticks.
        image: RGB uint8 (H, W, 3).
        mask: (H, W). Default None, the image alone.
        colour: of the outline. Default a pink that photographs rarely hold.
    """
    is_small = max(image.shape[:2]) < _LARGE
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
