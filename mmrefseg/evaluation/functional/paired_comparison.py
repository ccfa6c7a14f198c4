"""Intervals of figures, and comparisons of models that answered the same expressions, each with several seeds."""
from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from mmrefseg.errors import InputError

from .bootstrap import INTERVAL, RESAMPLES, resampled_percentages, resampled_sums
from .expression_groups import group_numbers
from .ratios import Ratio

_SEEN = 1.959964 + 0.841621
"""Standard errors that a difference must have to lie outside of 95 % around 0 four times in five."""


class Spread(NamedTuple):
    """One figure of several seeds: its mean and how far the seeds lie apart.

    Args:
        mean: mean over seeds.
        std: sample standard deviation over seeds (with n - 1); None for a single seed.
    """

    mean: float
    std: float | None


class Estimate(NamedTuple):
    """One figure with the interval that other images of the same kind might give, in percent.

    Args:
        mean: mean over seeds.
        low: lower end of the 95 % interval; None where all expressions are about one image.
        high: its upper end.
        by_seed: the figure of each seed.
    """

    mean: float
    low: float | None
    high: float | None
    by_seed: tuple[float, ...]


class PairedDifference(NamedTuple):
    """How much higher one model's IoU is than another's on the same expressions; the unit is that of the IoU given.

    Args:
        mean: mean over expressions and seeds.
        low: lower end of the 95 % confidence interval.
        high: its upper end.
        by_seed: the mean over expressions for each seed.
    """

    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...]


class FigureDifference(NamedTuple):
    """How much higher one model's figure is than another's on the same expressions, in percent.

    Args:
        mean: mean over seeds.
        low: lower end of the 95 % interval; None where all expressions are about one image.
        high: its upper end.
        by_seed: the difference of each seed.
        needed: expressions, on images like these, that show a true difference of this size four times in five; None
            where there is no difference, or all expressions are about one image.
        visible: the least true difference that these expressions show four times in five; None as above.
    """

    mean: float
    low: float | None
    high: float | None
    by_seed: tuple[float, ...]
    needed: int | None
    visible: float | None


def spread_over_seeds(figures: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Mean and standard deviation of figures.

    Args:
        figures: name → value for each seed, such as :func:`summarise_iou` gives; all have the same names.

    Returns:
        Name → spread, in the order of the first seed's names.

    Raises:
        InputError: there are no seeds.
    """
    if not figures:
        raise InputError('there are no seeds to summarise')
    columns = {name: np.array([row[name] for row in figures], dtype=np.float64) for name in figures[0]}
    single = len(figures) == 1
    return {name: Spread(float(values.mean()), None if single else float(values.std(ddof=1)))
            for name, values in columns.items()}


def estimate_figures(seeds: Sequence[Mapping[str, Ratio]], images: Sequence[Hashable],
                     resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """Figures with 95 % intervals, by a percentile bootstrap that draws whole images (see :func:`paired_difference`).

    Args:
        seeds: name → figure for each seed, all of the same N expressions.
        images: N keys; expressions with equal keys are about the same image.
        resamples: draws of the bootstrap. Default 10000.

    Returns:
        Name → estimate; figures that no expression bears on are left out.

    Raises:
        InputError: there are no seeds or no expressions.
    """
    means, by_seed, draws = _resample(seeds, images, resamples)
    return {name: Estimate(mean, *_interval(draws, column), by_seed[name])
            for column, (name, mean) in enumerate(means.items())}


def compare_figures(seeds: Sequence[Mapping[str, Ratio]],
                    reference: Sequence[Mapping[str, Ratio]],
                    images: Sequence[Hashable],
                    resamples: int = RESAMPLES) -> dict[str, FigureDifference]:
    """Differences of all figures of two models, paired by expression and by draw (see :func:`paired_difference`).

    Args:
        seeds: name → figure for each seed of one model.
        reference: the same of the other, of the same expressions in the same order, and as many seeds.
        images: N keys; expressions with equal keys are about the same image.
        resamples: draws of the bootstrap. Default 10000.

    Returns:
        Name → difference ``seeds - reference`` of the figures that both have.

    Raises:
        InputError: there are no seeds or no expressions, or not equally many seeds.
    """
    if len(seeds) != len(reference):
        raise InputError(f'{len(seeds)} and {len(reference)} seeds cannot be paired; give as many of both models')
    names = [name for name in seeds[0] if name in reference[0]] if seeds else []
    ours, theirs = (_resample([{name: row[name] for name in names} for row in rows], images, resamples)
                    for rows in (seeds, reference))
    found = {}
    for column, name in enumerate(ours.means):
        draws = None if ours.draws is None else ours.draws - theirs.draws
        by_seed = tuple(a - b for a, b in zip(ours.by_seed[name], theirs.by_seed[name], strict=True))
        mean = ours.means[name] - theirs.means[name]
        error = None if draws is None else float(np.nanstd(draws[:, column]))
        needed = ceil(len(images) * (_SEEN * error / mean)**2) if error and mean else None
        found[name] = FigureDifference(mean, *_interval(draws, column), by_seed, needed,
                                       None if error is None else _SEEN * error)
    return found


class _Resampled(NamedTuple):
    """Means over seeds and values by seed of figures, and (resamples, K) of the means; None for one image."""

    means: dict[str, float]
    by_seed: dict[str, tuple[float, ...]]
    draws: np.ndarray | None


def _resample(seeds: Sequence[Mapping[str, Ratio]], images: Sequence[Hashable], resamples: int) -> _Resampled:
    if not seeds or not len(images):
        raise InputError('there are no expressions or seeds to summarise; is the split empty?')
    values = {name: [row[name].percent() for row in seeds] for name in seeds[0]}
    by_seed = {name: tuple(value for value in of_name if value is not None) for name, of_name in values.items()
               if None not in of_name}
    means = {name: float(np.mean(of_name)) for name, of_name in by_seed.items()}
    groups = group_numbers(images)
    if not groups.max():
        return _Resampled(means, by_seed, None)
    draws = np.mean([resampled_percentages([row[name] for name in means], groups, resamples) for row in seeds], axis=0)
    return _Resampled(means, by_seed, draws)


def _interval(draws: np.ndarray | None, column: int) -> tuple[float | None, float | None]:
    return (None, None) if draws is None else tuple(np.nanquantile(draws[:, column], INTERVAL).tolist())


def paired_difference(ious: np.ndarray,
                      reference: np.ndarray,
                      images: Sequence[Hashable],
                      resamples: int = RESAMPLES) -> PairedDifference:
    """Compare the IoU of two models expression by expression.

    The difference of an expression is the mean over seeds of one model's IoU less that of the other, which removes how
    hard the expression is, and evens out the seeds. Several expressions ask for the same image, often for the same
    object, and fail together; taken as independent they would make the interval too narrow. So the interval is a
    percentile bootstrap that draws whole images with replacement, as many as there are, and takes the mean over the
    expressions drawn. It needs no normal distribution, which differences of IoU don't have: most are 0 and a few large.
    The draws are always the same.

    The interval says how the difference of *these* trained models may turn out on other images. It does not hold the
    luck of training, for which a few seeds are too few to resample: ``by_seed`` shows that, and where its signs differ,
    an interval without 0 isn't proof that one architecture is better.

    Args:
        ious: (S, N), IoU of one model for S seeds and N expressions.
        reference: (S, N), IoU of the other, of the same expressions in the same order.
        images: N keys; expressions with equal keys are about the same image.
        resamples: draws of the bootstrap. Default 10000.

    Returns:
        The difference ``ious - reference``.

    Raises:
        InputError: the shapes don't fit, there are no expressions or seeds, or all are about one image.
    """
    ious, reference = np.asarray(ious, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if ious.shape != reference.shape or ious.ndim != 2 or not ious.size or ious.shape[1] != len(images):
        raise InputError(f'IoUs of shapes {ious.shape} and {reference.shape} with {len(images)} images cannot be '
                         'compared; expected were (seeds, expressions) twice and an image for each expression')
    groups = group_numbers(images)
    if not groups.max():
        raise InputError('all expressions are about one image; a confidence interval needs at least two images')
    differences = ious - reference
    columns = np.stack([differences.mean(axis=0), np.ones(len(groups))])
    totals, sizes = resampled_sums(columns, groups, resamples).T
    low, high = np.quantile(totals / sizes, INTERVAL)
    return PairedDifference(
        float(differences.mean()), float(low), float(high), tuple(differences.mean(axis=1).tolist()))
