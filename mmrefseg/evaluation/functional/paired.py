"""Comparing models that answered the same expressions, each trained with several seeds."""
from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmrefseg.errors import InputError

INTERVAL = (0.025, 0.975)


class Spread(NamedTuple):
    """One figure over seeds.

    Args:
        mean: mean over seeds.
        std: sample standard deviation over seeds (with n - 1); None for a single seed.
    """

    mean: float
    std: float | None


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


def paired_difference(ious: np.ndarray,
                      reference: np.ndarray,
                      images: Sequence[Hashable],
                      resamples: int = 10_000) -> PairedDifference:
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
    groups = {image: number for number, image in enumerate(dict.fromkeys(images))}
    if len(groups) < 2:
        raise InputError('all expressions are about one image; a confidence interval needs at least two images')
    differences = ious - reference
    members = [groups[image] for image in images]
    totals = np.bincount(members, weights=differences.mean(axis=0))
    low, high = np.quantile(_resampled_means(totals, np.bincount(members), resamples), INTERVAL)
    return PairedDifference(
        float(differences.mean()), float(low), float(high), tuple(differences.mean(axis=1).tolist()))


def _resampled_means(totals: np.ndarray, sizes: np.ndarray, resamples: int) -> np.ndarray:
    """Means over the members of groups that are drawn with replacement; (resamples, )."""
    generator = np.random.default_rng(0)
    draws = (generator.integers(len(sizes), size=len(sizes)) for _ in range(resamples))
    return np.array([totals[draw].sum() / sizes[draw].sum() for draw in draws])
