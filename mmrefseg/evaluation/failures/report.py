"""All numbers about where a model fails, as JSON can hold them."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrefseg.structures.mask_position import COLUMNS, ROWS

from ..functional import Estimate, Ratio, estimate_figures, group_expressions
from ..predictions import Prediction
from .expression_facts import Facts
from .failure_classes import RULES
from .router_choices import routing_by_kind

GOOD = 50
"""IoU in percent up to which an answer is a failure."""

OTHERS = 'others of its category'

_NINTHS = [f'{row} {column}' for row in ROWS for column in COLUMNS]
_MOST = 3  # other objects of a category; more are one group
_BARS = 10
_OUTSTANDING, _LEAST = 6, 20


def report_failures(facts: Facts, ratios: Mapping[str, Ratio], answers: Sequence[Prediction | None]) -> dict[str, Any]:
    """Figures with 95 % intervals, and where and how answers fail.

    Args:
        facts: of N expressions.
        ratios: the metric's figures of these; the first is the mean IoU.
        answers: one per expression.

    Returns:
        - ``figures``: name → ``mean``, ``low`` and ``high`` in percent;
        - ``groups``: grouping → one entry per group, with ``name``, ``expressions``, ``iou`` and ``failed`` (figures
          as above: mean IoU, share of failures);
        - ``stands_out``: entries of groups that fail more than all do, the lower end of the interval above the share
          of all, those with most failures beyond that share first, with ``grouping`` and ``beyond``, their number;
        - ``failures``: ``number``, ``share`` in percent, ``classes`` (name, rule, number and share of the failures)
          and ``by_kind`` (kind → class → share of the kind's expressions in percent);
        - ``histogram``: expressions by IoU, in steps of 10 %;
        - ``sweep``: see :class:`~.threshold_sweep.ThresholdSweep`, and ``sweep_expressions``, of how many;
        - ``routing``: see :func:`~.router_choices.routing_by_kind`;
        - ``good``: IoU in percent up to which an answer is a failure; ``kinds_are_given``.

    Raises:
        InputError: there are no expressions, or stored routing isn't as documented.
    """
    images = facts.counted.images
    failed = np.array([failure is not None for failure in facts.failures])
    share = Ratio(failed.astype(np.int64), np.ones_like(failed, np.int64))
    mean = next(iter(ratios.values()))
    groups = group_facts(facts)
    members = {(grouping, name): chosen for grouping, named in groups.items() for name, chosen in named.items()}
    wanted = {('', name): ratio for name, ratio in ratios.items()}
    for (grouping, name), chosen in members.items():
        for figure, ratio in (('iou', mean), ('failed', share)):
            wanted[f'{grouping}={name}', figure] = Ratio(*(part * chosen for part in ratio))
    found = estimate_figures([{'\0'.join(key): ratio for key, ratio in wanted.items()}], images)
    entries = {grouping: [_entry(f'{grouping}={name}', name, chosen, found) for name, chosen in named.items()]
               for grouping, named in groups.items() if len(named) > 1}
    return {
        'figures': {name: _plain(found[f'\0{name}']) for name in ratios if f'\0{name}' in found},
        'groups': entries,
        'stands_out': _outstanding(entries, share.percent() or 0),
        'failures': _failures(facts, failed),
        'histogram': _histogram(facts.ious),
        'sweep': facts.sweep.figures(),
        'sweep_expressions': len(facts.sweep),
        'routing': routing_by_kind(answers, facts.kinds),
        'good': GOOD,
        'kinds_are_given': facts.kinds_are_given,
    }


def group_facts(facts: Facts) -> dict[str, dict[str, np.ndarray]]:
    """Groups of expressions whose figures are given.

    Args:
        facts: of N expressions.

    Returns:
        Grouping → name → (N, ), boolean; empty groups are left out.
    """
    counted = facts.counted
    groups: dict[str, dict[str, np.ndarray]] = {}
    for key, members in group_expressions(('kind', 'length', 'size'), facts.kinds, counted.areas,
                                          counted.lengths).items():
        grouping, _, name = key.partition('=')
        groups.setdefault(grouping, {})[name] = members
    others = [None if number is None else f'{_MOST} or more' if number >= _MOST else str(number)
              for number in facts.same_category]
    for grouping, values, names in ((OTHERS, others, sorted({*others} - {None}, key=str)),
                                    ('position', facts.positions, _NINTHS)):
        groups[grouping] = {str(name): np.array([value == name for value in values]) for name in names
                            if name in values}
    return groups


def _entry(key: str, name: str, members: np.ndarray, found: Mapping[str, Estimate]) -> dict[str, Any]:
    return {'name': name, 'expressions': int(members.sum()),
            **{figure: _plain(found.get(f'{key}\0{figure}')) for figure in ('iou', 'failed')}}


def _plain(estimate: Estimate | None) -> dict[str, float | None] | None:
    return estimate and {'mean': estimate.mean, 'low': estimate.low, 'high': estimate.high}


def _outstanding(groups: Mapping[str, Sequence[Mapping[str, Any]]], share: float) -> list[dict[str, Any]]:
    found = [{'grouping': grouping, **entry, 'beyond': (entry['failed']['mean'] - share) / 100 * entry['expressions']}
             for grouping, entries in groups.items() for entry in entries
             if entry['expressions'] >= _LEAST and (entry['failed']['low'] or 0) > share]
    return sorted(found, key=lambda entry: -entry['beyond'])[:_OUTSTANDING]


def _failures(facts: Facts, failed: np.ndarray) -> dict[str, Any]:
    times = Counter(failure for failure in facts.failures if failure)
    number = int(failed.sum())
    kinds = Counter(facts.kinds)
    by_kind = Counter(zip(facts.kinds, facts.failures, strict=True))
    classes = [name for name in RULES if times[name]]
    return {
        'number': number,
        'share': 100 * number / len(failed),
        'classes': [{'name': name, 'rule': RULES[name], 'number': times[name], 'share': 100 * times[name] / number}
                    for name in sorted(classes, key=lambda name: -times[name])],
        'by_kind': {kind: {name: 100 * by_kind[kind, name] / kinds[kind] for name in classes}
                    for kind in sorted(kinds) if kind},
    }


def _histogram(ious: np.ndarray) -> list[dict[str, int]]:
    numbers = np.bincount(np.minimum((ious * _BARS).astype(int), _BARS - 1), minlength=_BARS)
    return [{'from': 100 * bar // _BARS, 'to': 100 * (bar + 1) // _BARS, 'expressions': int(number)}
            for bar, number in enumerate(numbers)]
