"""Selection of the expressions whose pictures to look at."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .failure_classes import RULES

CHOICES = ('worst', 'median', 'best', 'of its class')


def choose_examples(ious: np.ndarray, failures: Sequence[str | None], number: int) -> dict[int, list[str]]:
    """The worst, those around the median and the best, and some of each class of failures.

    Most of the worst have an IoU of 0, and many of the best 1: among equals, and within a class, the choice is random,
    but always the same.

    Args:
        ious: (N, ).
        failures: class of each expression's failure; None for an answer that is good enough.
        number: of each of the former; of each class half as many.

    Returns:
        Place → why it is chosen, some of ``CHOICES``; worst first.
    """
    shuffled = np.random.default_rng(0).permutation(len(ious))
    ranked = shuffled[np.argsort(ious[shuffled], kind='stable')].tolist()
    number = min(number, len(ranked))
    middle = (len(ranked) - number) // 2
    chosen = {'worst': ranked[:number], 'median': ranked[middle:middle + number],
              'best': ranked[len(ranked) - number:], 'of its class': []}
    for name in RULES:
        of_class = [index for index in shuffled.tolist() if failures[index] == name]
        chosen['of its class'] += of_class[:(number + 1) // 2]
    reasons: dict[int, list[str]] = {}
    for choice, indices in chosen.items():
        for index in indices:
            reasons.setdefault(index, []).append(choice)
    return {index: reasons[index] for index in ranked if index in reasons}
