"""What routers decided for each kind of expression, where a file of predictions holds it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrefseg.errors import InputError

from ..predictions import Prediction

ALL = 'all'
Shares = dict[str, dict[str, float]]


def routing_by_kind(answers: Sequence[Prediction | None],
                    kinds: Sequence[str]) -> dict[str, dict[str, Shares]]:
    """Mean weights and choices of the experts.

    Args:
        answers: one per expression; those whose entry has ``routing``, router → expert → weight, are counted.
        kinds: how each expression refers.

    Returns:
        Router → kind, ``'all'`` first → expert → ``weight`` (mean), ``chosen`` and ``first`` (shares of expressions
        that chose it, and that weighted it most), each from 0 to 1. Empty where nothing is stored.

    Raises:
        InputError: an entry isn't as documented, or has other routers or experts than the first.
    """
    rows, of_kind = [], []
    names: dict[str, list[str]] | None = None
    for answer, kind in zip(answers, kinds, strict=True):
        if answer is None or answer.entry.get('routing') is None:
            continue
        routing = _checked(answer.entry['routing'], answer.where)
        found = {router: list(weights) for router, weights in routing.items()}
        names = names or found
        if found != names:
            raise InputError(f'{answer.where}: its routers or experts are others than those of the first answer; the '
                             'answers of one file must come from one model')
        rows.append([weight for weights in routing.values() for weight in weights.values()])
        of_kind.append(kind)
    if not rows or not names:
        return {}
    table = np.array(rows)
    groups = {ALL: np.ones(len(table), bool),
              **{kind: np.array([other == kind for other in of_kind]) for kind in sorted({*of_kind} - {''})}}
    summary, start = {}, 0
    for router, experts in names.items():
        columns = table[:, start:start + len(experts)]
        summary[router] = {kind: _shares(columns[members], experts) for kind, members in groups.items()}
        start += len(experts)
    return summary


def _shares(weights: np.ndarray, experts: Sequence[str]) -> Shares:
    first = np.bincount(weights.argmax(axis=1), minlength=len(experts)) / len(weights)
    figures = zip(experts, weights.mean(axis=0).tolist(), (weights > 0).mean(axis=0).tolist(), first.tolist(),
                  strict=True)
    return {expert: {'weight': weight, 'chosen': chosen, 'first': most} for expert, weight, chosen, most in figures}


def _checked(routing: Any, where: str) -> Mapping[str, Mapping[str, float]]:
    if not isinstance(routing, dict) or not all(
            isinstance(weights, dict) and weights and all(
                isinstance(weight, int | float) and 0 <= weight <= 1 for weight in weights.values())
            for weights in routing.values()):
        raise InputError(f"{where}: 'routing' must be an object with each router's experts and their weights, numbers "
                         'from 0 to 1')
    return routing
