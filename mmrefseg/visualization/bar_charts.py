"""Bar charts: what routers decide for each kind of expression, and distributions over the splits of data sets."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mmrefseg.errors import InputError

from .figure_style import FAINT, INK, add_legend, drawable, dress, expert_colours, save_figure

ExpertShares = Mapping[str, Mapping[str, float]]

_COLUMNS, _WIDTH = 3, 13.2  # inches
_BARS = 0.84  # of the room that a kind has
_SIGNIFICANT = 0.01
_MARKS = {'chosen': dict(marker='_', label='share that chose it'),
          'first': dict(marker='.', label='share that weighted it most')}


def draw_routing(routers: Mapping[str, Mapping[str, ExpertShares]], counts: Mapping[str, int], path: str | Path,
                 decisions: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Draw a diagram for each router: bars of its experts' mean weights, grouped by kind of expression.

    Marks above a bar tell in which share of the expressions the expert was chosen, and weighted most. Where a router
    chooses every expert always, the former are left out. A frame around a bar says that the kind has more or less of
    the expert than chance explains (p < 0.01).

    Args:
        routers: router → kind → expert → ``weight``, ``chosen`` and ``first``, each from 0 to 1; all routers have the
            same kinds.
        counts: kind → number of expressions.
        path: the picture, ``.png`` or ``.jpg``.
        decisions: router → ``entropy``, from 0 to 1, and ``preferences``, kind → expert → ``p``. Default None: they are
            not known.

    Raises:
        InputError: there are no routers, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    decisions = decisions or {}
    colours = expert_colours(expert for kinds in routers.values() for shares in kinds.values() for expert in shares)
    title = 'experts (dotted: all equal), by kind of expression and number of these'
    with _router_diagrams(len(routers), counts, path,
                          title + (', framed where p < 0.01' if decisions else '')) as axes:
        for ax, (router, kinds) in zip(axes, routers.items(), strict=True):
            decided = decisions.get(router)
            _draw_router(ax, kinds, colours, decided['preferences'] if decided else {})
            dress(ax, f'{router}: mean weights' + (f', entropy {decided["entropy"]:.2f}' if decided else ''))


def draw_routing_costs(costs: Mapping[str, Mapping[str, Mapping[str, float]]], counts: Mapping[str, int],
                       path: str | Path) -> None:
    """Draw a diagram for each router: by how much the mIoU falls where its decisions are changed, by kind.

    Args:
        costs: router → what is changed: ``frozen``, or the expert that is cut out → kind → points of mIoU; all routers
            have the same kinds.
        counts: kind → number of expressions.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there are no routers, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    colours = expert_colours(what for changes in costs.values() for what in changes if what != 'frozen')
    with _router_diagrams(len(costs), counts, path, 'points of mIoU that are lost with weights frozen to their mean, '
                          'and without an expert, by kind of expression and number of these') as axes:
        for ax, (router, changes) in zip(axes, costs.items(), strict=True):
            for i, (what, kinds) in enumerate(changes.items()):
                ax.bar(_centres(i, len(changes), len(kinds)), list(kinds.values()), 0.9 * _BARS / len(changes),
                       color=INK if what == 'frozen' else colours[what], label=what)
            ax.axhline(0, color=FAINT, linewidth=1)
            dress(ax, f'{router}: loss of mIoU')


@contextmanager
def _router_diagrams(number: int, counts: Mapping[str, int], path: str | Path, title: str) -> Iterator[list[Axes]]:
    """Axes for each router, with the kinds below; what was drawn is saved at the end."""
    if not number:
        raise InputError('there are no routers to draw')
    columns = min(number, _COLUMNS)
    rows = ceil(number / columns)
    figure = Figure((_WIDTH, 2.4 * rows + 0.6), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    grid = figure.add_gridspec(rows, columns)
    axes = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(number)]
    yield axes
    for ax in axes:
        ax.grid(visible=False, axis='x')
        ax.set_xticks(range(len(counts)), [f'{kind}\n{number}' for kind, number in counts.items()], parse_math=False)
    add_legend(figure, axes, title)
    save_figure(figure, path)


def _centres(bar: int, num_bars: int, num_kinds: int) -> list[float]:
    """Centres of the bars of one expert, one per kind."""
    return [kind + (bar + 0.5) * _BARS / num_bars - _BARS / 2 for kind in range(num_kinds)]


def _draw_router(ax: Axes, kinds: Mapping[str, ExpertShares], colours: Mapping[str, tuple[float, ...]],
                 preferences: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    experts = list(next(iter(kinds.values())))
    is_sparse = any(shares[expert]['chosen'] < 1 for shares in kinds.values() for expert in experts)
    ax.axhline(1 / len(experts), color=FAINT, linewidth=1, linestyle=':')
    positions, heights = [], []
    for i, expert in enumerate(experts):
        x = _centres(i, len(experts), len(kinds))
        bars = ax.bar(x, [shares[expert]['weight'] for shares in kinds.values()], 0.9 * _BARS / len(experts),
                      color=colours[expert], label=expert)
        for bar, kind in zip(bars, kinds, strict=True):
            if kind in preferences and preferences[kind][expert]['p'] < _SIGNIFICANT:
                bar.set(edgecolor=INK, linewidth=1.2)
        positions += x
        heights += [shares[expert] for shares in kinds.values()]
    for name, style in _MARKS.items():
        if name == 'first' or is_sparse:
            ax.plot(positions, [height[name] for height in heights], linestyle='', color=INK, clip_on=False, **style)
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(PercentFormatter(1))


_PANELS = {'words': 'words per expression', 'size': "referent's share of the image", 'kinds': 'kinds of expressions',
           'expressions_per_ref': 'expressions per referent', 'refs_per_image': 'referents per image'}
_LAST = 15  # and above


def draw_statistics(sets: Mapping[str, Mapping[str, Mapping[str, Any]]], path: str | Path) -> None:
    """Draw a row of diagrams for each data set, with all its splits in each.

    Args:
        sets: data set → split → ``images``, ``refs`` and ``expressions`` (numbers), and how often each value occurs:
            ``words``, ``expressions_per_ref`` and ``refs_per_image`` (by whole number), ``size`` and ``kinds`` (by
            label; the same sizes in all splits).
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there are no data sets, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    if not sets:
        raise InputError('there are no data sets to draw')
    figure = Figure((17, 3.7 * len(sets)), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    rows = figure.subfigures(len(sets), squeeze=False)[:, 0]
    for row, (title, splits) in zip(rows, sets.items(), strict=True):
        row.suptitle(drawable(title), x=0.01, ha='left', fontsize=12, fontweight='bold', parse_math=False)
        _draw_set(row, splits)
    save_figure(figure, path)


def _draw_set(row: SubFigure, splits: Mapping[str, Mapping[str, Any]]) -> None:
    colours = expert_colours(splits)
    axes = row.subplots(1, len(_PANELS), width_ratios=[1, 1.15, 1.15, 0.8, 0.8])
    for ax, (name, title) in zip(axes, _PANELS.items(), strict=True):
        shares = {split: _shares(statistics[name]) for split, statistics in splits.items()}
        if name == 'kinds':
            _draw_bars(ax, shares, colours)
        elif name == 'size':
            _draw_lines(ax, shares, colours, list(next(iter(shares.values()))))
        else:
            _draw_lines(ax, {split: _clipped(share) for split, share in shares.items()}, colours)
        dress(ax, title)
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    labels = [f'{split}: {statistics["images"]:,} images, {statistics["refs"]:,} referents, '
              f'{statistics["expressions"]:,} expressions' for split, statistics in splits.items()]
    legend = row.legend(axes[0].get_lines(), labels, loc='outside lower center', ncols=2, frameon=False, fontsize=9,
                        labelcolor=FAINT)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _shares(counts: Mapping[Any, int]) -> dict[Any, float]:
    total = max(sum(counts.values()), 1)
    return {value: count / total for value, count in counts.items()}


def _clipped(shares: Mapping[int, float]) -> dict[int, float]:
    """Shares of all whole numbers from the lowest on; the last one stands for those above, too."""
    values = {min(int(value), _LAST) for value in shares}
    return {value: sum(share for other, share in shares.items() if min(int(other), _LAST) == value)
            for value in range(min(values, default=1), max(values, default=1) + 1)}


def _draw_lines(ax: Axes, shares: Mapping[str, Mapping[Any, float]], colours: Mapping[str, Any],
                labels: Sequence[str] = ()) -> None:
    for split, share in shares.items():
        x = range(len(labels)) if labels else list(share)
        ax.plot(x, list(share.values()), color=colours[split], linewidth=1.6, marker='.', label=split)
    if labels:
        ax.set_xticks(range(len(labels)), labels, rotation=45, ha='right', rotation_mode='anchor')
        return
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if any(_LAST in share for share in shares.values()):
        ticks = [*range(1, _LAST, 2), _LAST]
        ax.set_xticks(ticks, [*map(str, ticks[:-1]), f'{_LAST}+'])


def _draw_bars(ax: Axes, shares: Mapping[str, Mapping[str, float]], colours: Mapping[str, Any]) -> None:
    kinds = list(dict.fromkeys(kind for share in shares.values() for kind in share))
    width = _BARS / len(shares)
    for i, (split, share) in enumerate(shares.items()):
        x = [kind + (i + 0.5) * width - _BARS / 2 for kind in range(len(kinds))]
        ax.bar(x, [share.get(kind, 0) for kind in kinds], 0.9 * width, color=colours[split])
    ax.set_xticks(range(len(kinds)), kinds, rotation=20 if len(kinds) < 5 else 45, ha='right', rotation_mode='anchor',
                  parse_math=False)
