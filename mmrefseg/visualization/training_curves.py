"""Loss and routing over a training, from its log."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from operator import index
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.files import JSON_ENCODING, MAX_JSON_BYTES, read_regular
from mmrefseg.utils.json_text import decode_json

from .figure_style import FAINT, INK, add_legend, dress, expert_colours, save_figure

Log = dict[int, dict[str, float]]


def find_runs(work_dir: str | Path) -> list[Path]:
    """Find the trainings in a work dir.

    Args:
        work_dir: where mmengine's ``LocalVisBackend`` wrote ``<time>/vis_data/scalars.json``.

    Returns:
        ``<time>/vis_data`` of every run that logged a loss, oldest first; at least one.

    Raises:
        MissingInputError: nothing was trained there.
        InputError: a log is no file.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    runs = [file.parent for file in files if b'"loss":' in read_regular(file, MAX_JSON_BYTES)]
    if not runs:
        raise MissingInputError(f'{work_dir} has no <time>/vis_data/scalars.json with a loss in it: it must be the '
                                'work dir of a training that went on for as long as its logging interval at least')
    return runs


def read_log(work_dir: str | Path) -> Log:
    """Read the scalars of the last training in a work dir, and of those that it resumed.

    Args:
        work_dir: see :func:`find_runs`.

    Returns:
        Iteration → scalars by name, in order. Iterations that were done twice, before and after a training was resumed,
        count as they went the second time.

    Raises:
        MissingInputError: nothing was trained there.
        InputError: a line of the log is damaged.
    """
    log: Log = {}
    for folder in find_runs(work_dir):
        run = _read_run(folder / 'scalars.json')
        log = {step: scalars for step, scalars in log.items() if step < min(run)} | run
    return log


def _read_run(file: Path) -> Log:
    run: Log = {}
    for number, line in enumerate(read_regular(file, MAX_JSON_BYTES).splitlines(), 1):
        try:
            scalars = decode_json(line.decode(JSON_ENCODING))
            step = index(scalars.pop('step'))
            run.setdefault(step, {}).update((name, float(value)) for name, value in scalars.items())
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"line {number} of {file} is not a JSON object of numbers with a 'step': "
                             f'{error!r}') from error
    return dict(sorted(run.items()))


_COLUMNS = 3


def draw_curves(log: Log, path: str | Path) -> None:
    """Draw losses, learning rate and, for each router, its experts' mean weights.

    Args:
        log: iteration → scalars by name, as :func:`read_log` gives them: ``loss`` and its parts, ``lr``, and
            ``routing/<router>/<expert>/weight``.
        path: the picture, ``.png`` or ``.jpg``.

    Raises:
        InputError: there is no ``loss`` in the log, or ``path`` doesn't end as a picture does.
        FileError: the picture cannot be written.
    """
    names = list(dict.fromkeys(name for scalars in log.values() for name in scalars))
    if 'loss' not in names:
        raise InputError("the log holds no 'loss' to draw: was anything trained?")
    routers: dict[str, dict[str, str]] = {}
    for name in names:
        if name.startswith('routing/') and name.endswith('/weight'):
            _, router, expert, _ = name.split('/')
            routers.setdefault(router, {})[expert] = name
    rows = ceil(len(routers) / _COLUMNS)
    figure = Figure((12, 3.6 + 2.1 * rows + 0.4 * bool(rows)), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    grid = figure.add_gridspec(rows + 1, _COLUMNS, height_ratios=[3.6, *[2.1] * rows])
    _draw_losses(figure.add_subplot(grid[0, :-1]), log, names)
    _draw_rate(figure.add_subplot(grid[0, -1]), log)
    if routers:
        axes = [figure.add_subplot(grid[1 + i // _COLUMNS, i % _COLUMNS]) for i in range(len(routers))]
        _draw_routing(axes, log, routers)
        add_legend(figure, axes, 'experts (dotted: all equal)')
    save_figure(figure, path)


def _plot(ax: Axes, log: Log, name: str, **style: object) -> None:
    points = [(iteration, scalars[name]) for iteration, scalars in log.items() if name in scalars]
    ax.plot(*zip(*points, strict=True), **{'linewidth': 1.6, 'label': name, **style})


def _dress(ax: Axes, title: str) -> None:
    dress(ax, title)
    ax.set_xlabel('iteration', fontsize=8, color=FAINT, labelpad=1)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _draw_losses(ax: Axes, log: Log, names: Iterable[str]) -> None:
    parts = [name for name in names if 'loss' in name.split('.')[-1] and name != 'loss']
    _plot(ax, log, 'loss', color=INK, linewidth=2.2, label='loss (sum)')
    for part, colour in zip(parts, colormaps['tab10'].colors * len(parts), strict=False):
        _plot(ax, log, part, color=colour)
    ax.set_yscale('log')
    _dress(ax, 'loss and its parts')
    ax.legend(fontsize=8, frameon=False, loc='upper center', bbox_to_anchor=(0.5, -0.14), ncols=3)


def _draw_rate(ax: Axes, log: Log) -> None:
    _plot(ax, log, 'lr', color=INK)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter('{x:g}')
    _dress(ax, 'learning rate')


def _draw_routing(axes: list[Axes], log: Log, routers: Mapping[str, Mapping[str, str]]) -> None:
    colours = expert_colours(expert for names in routers.values() for expert in names)
    for ax, (router, names) in zip(axes, routers.items(), strict=True):
        ax.axhline(1 / len(names), color=FAINT, linewidth=1, linestyle=':')
        for expert, name in names.items():
            _plot(ax, log, name, color=colours[expert], label=expert)
        ax.set_ylim(0, 1)
        _dress(ax, f'{router}: mean weights')
