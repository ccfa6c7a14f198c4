"""Intersection over union of masks, and its summary over expressions."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError, InputTypeError


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
    return int((pred & gt).sum()), int((pred | gt).sum())


def summarise_iou(intersections: Sequence[int],
                  unions: Sequence[int],
                  thresholds: Sequence[int] = (50, 60, 70, 80, 90)) -> dict[str, float]:
    """Summarise the IoU of many expressions.

    An expression whose union is empty (nothing there, nothing predicted) counts as IoU 0, so every figure is finite.

    Args:
        intersections: intersection in pixels, one per expression.
        unions: union in pixels, one per expression.
        thresholds: IoU levels of Pr@X in percent, whole numbers. Default (50, 60, 70, 80, 90).

    Returns:
        In percent: ``mIoU``, the mean over expressions; ``oIoU``, all intersections over all unions; and for each
        threshold ``Pr@X``, the share of expressions whose IoU is strictly greater than X.

    Raises:
        InputError: there are no expressions, or not as many unions as intersections, or an intersection is negative
            or larger than its union.
    """
    inter = np.asarray(intersections, dtype=np.int64)
    union = np.asarray(unions, dtype=np.int64)
    if inter.shape != union.shape or inter.ndim != 1:
        raise InputError(f'intersections are of shape {inter.shape} and unions of {union.shape}; '
                         'both must be flat and equally long')
    if inter.size == 0:
        raise InputError('there are no expressions to evaluate; is the split empty, or did the metric see no samples?')
    if (inter < 0).any() or (inter > union).any():
        raise InputError('an intersection is negative or larger than its union')
    figures = {
        'mIoU': (inter / np.maximum(union, 1)).mean(),
        'oIoU': inter.sum() / max(union.sum(), 1),
    }
    # Compared as whole numbers: an IoU of exactly X must not pass because of rounding.
    figures |= {f'Pr@{level}': (100 * inter > level * union).mean() for level in thresholds}
    return {name: 100 * float(value) for name, value in figures.items()}
