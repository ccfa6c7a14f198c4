"""Figures for expressions that refer to several objects, to one or to none."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrefseg.errors import InputError

from .iou import Counts
from .ratios import Ratio, percentages


def summarise_gres(intersections: Sequence[int],
                   predicted: Sequence[int],
                   targets: Sequence[int],
                   min_pixels: int = 50,
                   thresholds: Sequence[int] = (70, 80, 90)) -> dict[str, float]:
    """Summarise generalised referring segmentation as ReLA's evaluation on gRefCOCO does (arXiv 2306.00968).

    - An expression without a single target pixel is a *no-target* expression, the others are *targeted*.
    - A prediction of fewer than ``min_pixels`` pixels is cleared: it answers "no target". The paper does so to methods
      that have no classifier of their own for this, with 50 pixels. (ReLA has one; where that says "no target",
      ReLA's code takes an intersection of 0, but leaves the predicted pixels in the union.)
    - A no-target expression answered by "no target" has IoU 1, and adds nothing to intersection and union; answered by
      a mask, it has IoU 0 and adds the mask's pixels to the union.
    - A targeted expression answered by "no target" has IoU 0 and adds its target's pixels to the union.

    Args:
        intersections: pixels that prediction and target share, one number per expression.
        predicted: pixels of the prediction.
        targets: pixels of the target; 0 if there is none.
        min_pixels: pixels that a prediction needs. Default 50; 1 or less clears nothing.
        thresholds: IoU levels of Pr@X in percent, whole numbers. Default (70, 80, 90), as in ReLA's code.

    Returns:
        In percent: ``gIoU``, the mean IoU over all expressions; ``cIoU``, all intersections over all unions; ``N-acc``,
        the share of no-target expressions answered by "no target"; ``T-acc``, the share of targeted expressions
        answered by a mask; and for each threshold ``Pr@X``, the share of *targeted* expressions with an IoU of X *or
        more*. A figure that no expression bears on is left out (ReLA's code gives 0 or divides by it).

    Raises:
        InputError: there are no expressions, not equally many of each number, or numbers that contradict each other.
    """
    return percentages(gres_ratios(intersections, predicted, targets, min_pixels, thresholds))


def gres_ratios(intersections: Counts,
                predicted: Counts,
                targets: Counts,
                min_pixels: int = 50,
                thresholds: Sequence[int] = (70, 80, 90)) -> dict[str, Ratio]:
    """The figures of :func:`summarise_gres` before they are summed.

    Args:
        intersections: pixels that prediction and target share, one number per expression.
        predicted: pixels of the prediction.
        targets: pixels of the target; 0 if there is none.
        min_pixels: pixels that a prediction needs. Default 50.
        thresholds: IoU levels of Pr@X in percent, whole numbers. Default (70, 80, 90).

    Returns:
        Name → figure.

    Raises:
        InputError: as there.
    """
    inter, pred, target = (np.asarray(pixels, dtype=np.int64) for pixels in (intersections, predicted, targets))
    _check(inter, pred, target)
    answered = pred >= max(min_pixels, 1)
    inter, pred = inter * answered, pred * answered
    union = pred + target - inter
    # An empty union is a no-target expression that was recognised.
    iou = np.where(union == 0, 1, inter / np.maximum(union, 1))
    targeted = target > 0
    # Compared as whole numbers: an IoU of exactly X must pass in spite of rounding.
    passed = {f'Pr@{level}': 100 * inter >= level * union for level in thresholds}
    return {
        'gIoU': Ratio(iou, np.ones_like(targeted)),
        'cIoU': Ratio(inter, union),
        'N-acc': Ratio(~answered & ~targeted, ~targeted),
        'T-acc': Ratio(answered & targeted, targeted),
        **{name: Ratio(hits & targeted, targeted) for name, hits in passed.items()},
    }


def _check(inter: np.ndarray, pred: np.ndarray, target: np.ndarray) -> None:
    if not inter.shape == pred.shape == target.shape or inter.ndim != 1:
        raise InputError(f'intersections, predicted and targets are of shapes {inter.shape}, {pred.shape} and '
                         f'{target.shape}; they must be flat and equally long')
    if inter.size == 0:
        raise InputError('there are no expressions to evaluate; is the split empty, or did the metric see no samples?')
    if (inter < 0).any() or (inter > np.minimum(pred, target)).any():
        raise InputError('an intersection is negative, or larger than its prediction or target')
