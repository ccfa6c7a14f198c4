"""Figures as ratios of two sums over expressions, so that all are summed, resampled and compared in one way."""
from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

import numpy as np

INTERVAL = (0.025, 0.975)
RESAMPLES = 10_000

_DRAWN_AT_ONCE = 1 << 21  # groups; bounds the memory


class Ratio(NamedTuple):
    """One figure: a sum over expressions divided by another, such as all intersections by all unions.

    Args:
        numerators: (N, ), for N expressions.
        denominators: (N, ); all 1 for a mean.
    """

    numerators: np.ndarray
    denominators: np.ndarray

    def percent(self) -> float | None:
        """The figure in percent, the same in whatever order expressions come; None if no expression bears on it."""
        below = fsum(self.denominators.tolist())
        return 100 * (fsum(self.numerators.tolist()) / below) if below else None

    def of(self, chosen: np.ndarray) -> Ratio:
        """The same figure of some of the expressions.

        Args:
            chosen: boolean (N, ), or their indices (M, ).
        """
        return Ratio(self.numerators[chosen], self.denominators[chosen])


def percentages(ratios: Mapping[str, Ratio]) -> dict[str, float]:
    """The figures in percent by name; those that no expression bears on are left out.

    Args:
        ratios: name → figure.
    """
    values = {name: ratio.percent() for name, ratio in ratios.items()}
    return {name: value for name, value in values.items() if value is not None}


def group_numbers(images: Sequence[Hashable]) -> np.ndarray:
    """The number of each expression's image, in the order in which images first appear; (N, ).

    Args:
        images: N keys; expressions with equal keys are about the same image.
    """
    # Whole numbers can be chosen so that they all meet in the same places of a dictionary, texts cannot.
    keys = [repr(image) if type(image) in (int, str) else image for image in images]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def resampled_sums(columns: np.ndarray, groups: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Sums over the members of groups that are drawn with replacement, as many as there are.

    The draws are always the same for as many groups, so that what is computed of the same expressions is paired.

    Args:
        columns: (K, N), what to sum over N expressions.
        groups: (N, ), the number of each expression's group, from 0 without a gap.
        resamples: number of draws. Default 10000.

    Returns:
        (resamples, K).
    """
    number = int(groups.max()) + 1
    totals = np.stack([np.bincount(groups, weights=column, minlength=number) for column in columns], axis=1)
    generator = np.random.default_rng(0)
    sums = []
    for start in range(0, resamples, max(1, _DRAWN_AT_ONCE // number)):
        rows = min(max(1, _DRAWN_AT_ONCE // number), resamples - start)
        draws = generator.integers(number, size=(rows, number)) + number * np.arange(rows)[:, None]
        times = np.bincount(draws.ravel(), minlength=rows * number).reshape(rows, number)
        sums.append(times @ totals)
    return np.concatenate(sums)


def resampled_percentages(ratios: Sequence[Ratio], groups: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Figures in percent of redrawn groups; (resamples, K) for K figures, NaN where no expression drawn bears on one.

    Args:
        ratios: the K figures, of the same N expressions.
        groups: as :func:`resampled_sums` takes them.
        resamples: number of draws. Default 10000.
    """
    columns = np.stack([part for ratio in ratios for part in ratio]).astype(np.float64)
    sums = resampled_sums(columns, groups, resamples)
    above, below = sums[:, ::2], sums[:, 1::2]
    return 100 * np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
