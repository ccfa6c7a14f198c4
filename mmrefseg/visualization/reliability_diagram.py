"""Whether answers are as often right as they say."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .figure import FAINT, INK, dress, save_figure

Point = tuple[int, float, float]


def draw_calibration(curves: Mapping[str, Sequence[Point]], path: str | Path) -> None:
    """Draw a reliability diagram for each of several rules, side by side, with the numbers of answers below.

    Args:
        curves: title → number of answers, mean confidence and share of hits of each bin.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    figure = Figure((4.6 * len(curves), 4.6), layout='constrained')
    grid = figure.subplots(2, len(curves), height_ratios=[3, 1], sharex=True, squeeze=False)
    for (title, points), ax, below in zip(curves.items(), grid[0], grid[1], strict=True):
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
    grid[0][0].set_ylabel('answers with an IoU above 50 %', color=FAINT, fontsize=8)
    grid[1][0].set_ylabel('answers', color=FAINT, fontsize=8)
    save_figure(figure, path)
