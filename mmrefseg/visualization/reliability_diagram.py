"""Whether answers are as often right as they say."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .figure_style import FAINT, INK, dress, save_figure

Point = tuple[int, float, float]
_IN_A_ROW = 2  # before and after


def draw_calibration(curves: Mapping[str, Sequence[Point]], path: str | Path) -> None:
    """Draw a reliability diagram for each of several rules, two in a row, with the numbers of answers below.

    Args:
        curves: title → number of answers, mean confidence and share of hits of each bin.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    columns = min(len(curves), _IN_A_ROW)
    rows = ceil(len(curves) / columns)
    figure = Figure((4.6 * columns, 4.6 * rows), layout='constrained')
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3, 1] * rows)
    for place, (title, points) in enumerate(curves.items()):
        row, column = divmod(place, columns)
        below = figure.add_subplot(grid[2 * row + 1, column])
        ax = figure.add_subplot(grid[2 * row, column], sharex=below)
        ax.tick_params(labelbottom=False)
        numbers, confidences, shares = zip(*points, strict=True) if points else ((), (), ())
        ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=':')
        ax.plot(confidences, shares, color=INK, linewidth=1.6, marker='o', markersize=4)
        dress(ax, title)
        ax.set_ylim(0, 1)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        below.bar(confidences, numbers, 0.06, color=FAINT)
        dress(below, '')
        below.set_xlim(0, 1)
        below.xaxis.set_major_formatter(PercentFormatter(1))
        below.set_xlabel('confidence', color=FAINT, fontsize=8)
        if column == 0:
            ax.set_ylabel('answers with an IoU above 50 %', color=FAINT, fontsize=8)
            below.set_ylabel('answers', color=FAINT, fontsize=8)
    save_figure(figure, path)
