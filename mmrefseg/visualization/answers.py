"""A picture of what a model answered."""
from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mmrefseg.errors import InputError

from .figure import DPI, INK, add_panel, save_figure, wrap
from .masks import show_mask

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
