"""Figures as ratios of two sums over expressions, so that all are summed, resampled and compared in one way."""
from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from typing import NamedTuple

import numpy as np


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
