"""Grids of images with masks: a model's answers, predictions beside the ground truth, samples before and after."""
from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmrefseg.errors import InputError

from .figure import DPI, FAINT, INK, add_panel, save_figure, wrap

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


# In inches.
_WIDTH, _CAPTION, _GAP = 4.2, 0.5, 0.12


class Answer(NamedTuple):
    """A mask on an image, and the words above it.

    Args:
        image: RGB uint8 (H, W, 3).
        mask: (H, W).
        caption: expression and score, for example; may be of any length.
    """

    image: np.ndarray
    mask: np.ndarray
    caption: str


def draw_answers(answers: Sequence[Answer], path: str | Path) -> None:
    """Draw a panel for each answer, up to three in a row.

    Args:
        answers: at least one.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there are no answers, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    if not answers:
        raise InputError('there are no answers to draw')
    columns = min(len(answers), 3)
    rows = ceil(len(answers) / columns)
    shapes = [answer.image.shape for answer in answers]
    # A photo is drawn at its own resolution; the shape of a panel is that of the tallest image, within reason.
    width = min(max(_WIDTH, *(shape[1] / DPI for shape in shapes)), 3 * _WIDTH)
    height = width * min(max(shape[0] / shape[1] for shape in shapes), 2)
    figure = Figure((_GAP + columns * (width + _GAP), rows * (_CAPTION + height) + _GAP))
    for i, answer in enumerate(answers):
        row, column = divmod(i, columns)
        ax = add_panel(figure, _GAP + column * (width + _GAP), _CAPTION + row * (_CAPTION + height), width, height)
        show_mask(ax, answer.image, answer.mask)
        ax.set_title(wrap(answer.caption, int(13 * width), 2), fontsize=10, color=INK, parse_math=False)
    save_figure(figure, path)


_COLUMNS = 3
# In inches.
_SIDE, _TITLE, _LABEL, _GAP, _MARGIN = 1.5, 0.5, 0.26, 0.06, 0.2
_TRUTH_COLOUR = '#00d47e'


class Sample(NamedTuple):
    """An expression, what it refers to and what a model took it to refer to.

    Args:
        image: RGB uint8 (H, W, 3).
        ground_truth: (H, W).
        prediction: (H, W).
        expression: of any length.
        iou: 0 to 1.
        origin: split or kind, for example; may be empty.
    """

    image: np.ndarray
    ground_truth: np.ndarray
    prediction: np.ndarray
    expression: str
    iou: float
    origin: str


def draw_samples(samples: Sequence[Sample], path: str | Path) -> None:
    """Draw a grid with image, ground truth, prediction, expression and IoU of each sample.

    Args:
        samples: at least one; three stand in a row.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there are no samples, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    if not samples:
        raise InputError('there are no samples to draw')
    columns = min(len(samples), _COLUMNS)
    rows = ceil(len(samples) / columns)
    height = _SIDE * min(max(sample.image.shape[0] / sample.image.shape[1] for sample in samples), 1.5)
    cell_width, cell_height = 3 * _SIDE + 2 * _GAP + _MARGIN, _TITLE + height + _LABEL
    figure = Figure((_MARGIN + columns * cell_width, rows * cell_height + _GAP))
    for i, sample in enumerate(samples):
        row, column = divmod(i, columns)
        left, top = _MARGIN + column * cell_width, _TITLE + row * cell_height
        panels = [add_panel(figure, left + j * (_SIDE + _GAP), top, _SIDE, height) for j in range(3)]
        _draw_sample(panels, sample)
    save_figure(figure, path)


def _draw_sample(panels: list[Axes], sample: Sample) -> None:
    masks = (None, sample.ground_truth, sample.prediction)
    labels = (sample.origin, 'ground truth', f'prediction, IoU {100 * sample.iou:.0f} %')
    for ax, mask, colour, label in zip(panels, masks, (FAINT, _TRUTH_COLOUR, MASK_COLOUR), labels, strict=True):
        show_mask(ax, sample.image, mask, colour)
        ax.text(0.5, -0.03, wrap(label, 26, 1), transform=ax.transAxes, ha='center', va='top', fontsize=8.5,
                color=INK if mask is sample.prediction else FAINT, parse_math=False)
    panels[1].set_title(wrap(sample.expression, 46, 2), fontsize=10.5, color=INK, fontweight='bold', parse_math=False)


_COLUMNS, _LINES = 2, 3
# In inches.
_SIDE, _TITLE, _LINE, _GAP, _MARGIN = 3.0, 0.42, 0.19, 0.1, 0.3


class Pair(NamedTuple):
    """A sample as it is stored and as the model gets it.

    Args:
        before: image, mask and expressions.
        after: the same behind the pipeline.
        origin: which sample it is; may be of any length.
    """

    before: Answer
    after: Answer
    origin: str


def draw_pairs(pairs: Sequence[Pair], path: str | Path) -> None:
    """Draw a grid of pairs, two in a row, the words of each image below it.

    Args:
        pairs: at least one.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there are no pairs, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    if not pairs:
        raise InputError('there are no samples to draw')
    columns = min(len(pairs), _COLUMNS)
    rows = [pairs[start:start + columns] for start in range(0, len(pairs), columns)]
    heights = [_SIDE * min(max(_aspect(image) for pair in row for image in pair[:2]), 1.5) for row in rows]
    cell_width, words = 2 * _SIDE + _GAP + _MARGIN, _LINES * _LINE + _GAP
    figure = Figure((_MARGIN + columns * cell_width, sum(heights) + len(rows) * (_TITLE + words) + _GAP))
    top = 0.0
    for row, height in zip(rows, heights, strict=True):
        for column, pair in enumerate(row):
            left = _MARGIN + column * cell_width
            panels = [add_panel(figure, left + i * (_SIDE + _GAP), top + _TITLE, _SIDE, height) for i in range(2)]
            _draw_pair(panels, pair)
        top += _TITLE + height + words
    save_figure(figure, path)


def _aspect(shown: Answer) -> float:
    return shown.image.shape[0] / shown.image.shape[1]


def _draw_pair(panels: list[Axes], pair: Pair) -> None:
    for ax, shown in zip(panels, pair[:2], strict=True):
        show_mask(ax, shown.image, shown.mask)
        ax.set_anchor('S')  # images of different shapes stand on one line, above their words
        ax.text(0.5, -0.02, wrap(shown.caption, int(13.5 * _SIDE), _LINES), transform=ax.transAxes, ha='center',
                va='top', fontsize=9.5, color=INK, parse_math=False, linespacing=1.15)
    size = 'x'.join(map(str, pair.after.image.shape[1::-1]))
    for ax, title in zip(panels, (wrap(pair.origin, int(13 * _SIDE), 2), f'after the pipeline: {size}'), strict=True):
        ax.text(0.5, 1.015, title, transform=ax.transAxes, ha='center', va='bottom', fontsize=8.5, color=FAINT,
                parse_math=False)
