"""Intersection over union of masks, and its summary over expressions."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError, InputTypeError

from .ratios import Ratio, percentages

Counts = Sequence[int] | np.ndarray


def _as_bool(mask: np.ndarray | Tensor, device: torch.device | None = None) -> Tensor:
    mask = torch.as_tensor(mask, device=device)
    if mask.is_floating_point():
        raise InputTypeError(f'a mask must be boolean or integer, got {mask.dtype}; threshold scores first')
    return mask != 0


def intersection_and_union(pred: np.ndarray | Tensor, gt: np.ndarray | Tensor) -> tuple[int, int]:
    """Count the pixels that two masks share, and those that either covers.

    Args:
        pred: predicted mask of any shape, boolean or integer; every value but 0 is foreground.
        gt: ground truth, same shape.

    Returns:
        Intersection and union in pixels, exact.

    Raises:
        InputError: the shapes differ.
        InputTypeError: a mask holds floating point numbers.
    """
    gt = _as_bool(gt)
    pred = _as_bool(pred, gt.device)
    if pred.shape != gt.shape:
        raise InputError(f'the prediction is {tuple(pred.shape)} and the ground truth {tuple(gt.shape)} pixels large; '
                         'both must have the size of the original image')
    intersection, predicted, target = pixel_counts(pred, gt).tolist()
    return intersection, predicted + target - intersection


def pixel_counts(pred: Tensor, truth: Tensor) -> Tensor:
    """Pixels that two masks share, and those of each; int64 (3, ) on their device.

    Args:
        pred: predicted mask of any shape, boolean.
        truth: ground truth, boolean, same shape.
    """
    return torch.stack([torch.count_nonzero(pred & truth), torch.count_nonzero(pred), torch.count_nonzero(truth)])


def iou_ratios(intersections: Counts,
               unions: Counts,
               thresholds: Sequence[int] = (50, 60, 70, 80, 90),
               empty_union: Literal[0, 1, 'skip'] = 0,
               comparison: Literal['>', '>='] = '>') -> dict[str, Ratio]:
    """The figures of :func:`summarise_iou` before they are summed.

    Args:
        intersections: (N, ), pixels.
        unions: (N, ), pixels.
        thresholds: IoU levels of Pr@X in percent, whole numbers. Default (50, 60, 70, 80, 90).
        empty_union: as there. Default 0.
        comparison: as there. Default ``'>'``.

    Returns:
        Name → figure.

    Raises:
        InputError: as there, where the numbers contradict each other or there are none.
    """
    inter, union = _checked(intersections, unions)
    empty = union == 0
    counted = ~empty if empty_union == 'skip' else np.ones_like(empty)
    iou = np.where(empty, int(empty_union == 1), inter / np.maximum(union, 1))
    # Compared as whole numbers: an IoU of exactly X must not pass, or fail, because of rounding.
    passes = np.greater if comparison == '>' else np.greater_equal
    passed = {level: np.where(empty, empty_union == 1, passes(100 * inter, level * union)) for level in thresholds}
    return {
        'mIoU': Ratio(iou * counted, counted),
        'oIoU': Ratio(inter, union),
        **{f'Pr@{level}': Ratio(hits & counted, counted) for level, hits in passed.items()},
    }


def summarise_iou(intersections: Sequence[int],
                  unions: Sequence[int],
                  thresholds: Sequence[int] = (50, 60, 70, 80, 90),
                  empty_union: Literal[0, 1, 'skip'] = 0,
                  comparison: Literal['>', '>='] = '>') -> dict[str, float]:
    """Summarise the IoU of many expressions, in whatever order to the same last digit.

    Args:
        intersections: intersection in pixels, one per expression.
        unions: union in pixels, one per expression.
        thresholds: IoU levels of Pr@X in percent, whole numbers. Default (50, 60, 70, 80, 90).
        empty_union: the IoU of an expression whose union is empty (nothing there, nothing predicted): 0, which never
            passes Pr@X; 1; or ``'skip'``, which leaves it out of mIoU and Pr@X. Default 0.
        comparison: whether Pr@X asks for an IoU ``'>'`` or ``'>='`` X. Default ``'>'``.

    Returns:
        In percent: ``mIoU``, the mean over expressions; ``oIoU``, all intersections over all unions, 0 if all unions
        are empty; and for each threshold ``Pr@X``, the share of expressions whose IoU passes X.

    Raises:
        InputError: there are no expressions, or none that counts, not as many unions as intersections, or an
            intersection is negative or larger than its union.
    """
    ratios = iou_ratios(intersections, unions, thresholds, empty_union, comparison)
    figures = {'oIoU': 0.0, **percentages(ratios)}
    if 'mIoU' not in figures:
        raise InputError("no expression counts: all unions are empty, and empty_union='skip' leaves them out")
    return {name: figures[name] for name in ratios}


def _checked(intersections: Counts, unions: Counts) -> tuple[np.ndarray, np.ndarray]:
    inter = np.asarray(intersections, dtype=np.int64)
    union = np.asarray(unions, dtype=np.int64)
    if inter.shape != union.shape or inter.ndim != 1:
        raise InputError(f'intersections are of shape {inter.shape} and unions of {union.shape}; '
                         'both must be flat and equally long')
    if inter.size == 0:
        raise InputError('there are no expressions to evaluate; is the split empty, or did the metric see no samples?')
    if (inter < 0).any() or (inter > union).any():
        raise InputError('an intersection is negative or larger than its union')
    return inter, union
