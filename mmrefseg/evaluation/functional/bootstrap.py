"""Figures of groups of expressions that are drawn anew with replacement, from which intervals follow."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .ratios import Ratio

INTERVAL = (0.025, 0.975)
RESAMPLES = 10_000

_DRAWN_AT_ONCE = 1 << 21  # groups; bounds the memory


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
