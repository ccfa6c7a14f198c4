"""Grid of predictions beside the ground truth."""
from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmrefseg.errors import InputError

from .figure_style import FAINT, INK, add_panel, save_figure, wrap
from .mask_overlays import MASK_COLOUR, TRUTH_COLOUR, show_mask

_COLUMNS = 3
# In inches.
_SIDE, _TITLE, _LABEL, _GAP, _MARGIN = 1.5, 0.5, 0.26, 0.06, 0.2


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
    for ax, mask, colour, label in zip(panels, masks, (FAINT, TRUTH_COLOUR, MASK_COLOUR), labels, strict=True):
        show_mask(ax, sample.image, mask, colour)
        ax.text(0.5, -0.03, wrap(label, 26, 1), transform=ax.transAxes, ha='center', va='top', fontsize=8.5,
                color=INK if mask is sample.prediction else FAINT, parse_math=False)
    panels[1].set_title(wrap(sample.expression, 46, 2), fontsize=10.5, color=INK, fontweight='bold', parse_math=False)
