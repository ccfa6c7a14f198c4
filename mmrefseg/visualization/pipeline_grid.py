"""Grid of samples as they are stored and as the pipeline gives them."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmrefseg.errors import InputError

from .answer_pictures import Panel
from .figure_style import FAINT, INK, add_panel, save_figure, wrap
from .mask_overlays import show_mask

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

    before: Panel
    after: Panel
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


def _aspect(shown: Panel) -> float:
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
