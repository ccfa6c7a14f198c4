"""What routers decide for each kind of expression."""
from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mmrefseg.errors import InputError

from .figure import FAINT, INK, add_legend, dress, expert_colours, save_figure

Shares = Mapping[str, Mapping[str, float]]

_COLUMNS, _WIDTH = 3, 13.2  # inches
_BARS = 0.84  # of the room that a kind has
_MARKS = {'chosen': dict(marker='_', label='share that chose it'),
          'first': dict(marker='.', label='share that weighted it most')}


def draw_routing(routers: Mapping[str, Mapping[str, Shares]], counts: Mapping[str, int], path: str | Path) -> None:
    """Draw a diagram for each router: bars of its experts' mean weights, grouped by kind of expression.

    Marks above a bar tell in which share of the expressions the expert was chosen, and weighted most. Where a router
    chooses every expert always, the former are left out.

    Args:
        routers: router → kind → expert → ``weight``, ``chosen`` and ``first``, each from 0 to 1; all routers have the
            same kinds.
        counts: kind → number of expressions.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there are no routers, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    if not routers:
        raise InputError('there are no routers to draw')
    columns = min(len(routers), _COLUMNS)
    rows = ceil(len(routers) / columns)
    figure = Figure((_WIDTH, 2.4 * rows + 0.6), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    grid = figure.add_gridspec(rows, columns)
    colours = expert_colours(expert for kinds in routers.values() for shares in kinds.values() for expert in shares)
    axes = []
    for i, (router, kinds) in enumerate(routers.items()):
        axes.append(figure.add_subplot(grid[i // columns, i % columns]))
        _draw_router(axes[-1], kinds, colours)
        dress(axes[-1], f'{router}: mean weights')
        axes[-1].grid(visible=False, axis='x')
        axes[-1].set_xticks(range(len(kinds)), [f'{kind}\n{counts[kind]}' for kind in kinds], parse_math=False)
    add_legend(figure, axes, 'experts (dotted: all equal), by kind of expression and number of these')
    save_figure(figure, path)


def _draw_router(ax: Axes, kinds: Mapping[str, Shares], colours: Mapping[str, tuple[float, ...]]) -> None:
    experts = list(next(iter(kinds.values())))
    is_sparse = any(shares[expert]['chosen'] < 1 for shares in kinds.values() for expert in experts)
    ax.axhline(1 / len(experts), color=FAINT, linewidth=1, linestyle=':')
    width = _BARS / len(experts)
    positions, heights = [], []
    for i, expert in enumerate(experts):
        x = [kind + (i + 0.5) * width - _BARS / 2 for kind in range(len(kinds))]
        ax.bar(x, [shares[expert]['weight'] for shares in kinds.values()], 0.9 * width, color=colours[expert],
               label=expert)
        positions += x
        heights += [shares[expert] for shares in kinds.values()]
    for name, style in _MARKS.items():
        if name == 'first' or is_sparse:
            ax.plot(positions, [height[name] for height in heights], linestyle='', color=INK, clip_on=False, **style)
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
