"""Figures of masks in memory."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError

from .expression_counts import unions_of
from .functional import iou_ratios, percentages, pixel_counts, truth_mask
from .protocols import Protocol, resolve_protocol

Array = np.ndarray | Tensor


def evaluate(predictions: Iterable[Array],
             truths: Iterable[Array],
             protocol: str | Mapping[str, Any] | Protocol = 'cris',
             thresholds: Sequence[int] = (50, 60, 70, 80, 90)) -> dict[str, float]:
    """Figures of predictions and ground truths, one pair per expression, in percent.

    Sentences are the caller's choice: whatever is given counts.

    Args:
        predictions: (H, W) each, of the image's size or, where the protocol stretches, of its resolution: masks,
            boolean or integer, every value but 0 inside; or probabilities from 0 to 1, floating point, which are cut at
            the protocol's threshold.
        truths: (H, W) each, masks of the image's size.
        protocol: as :func:`resolve_protocol` takes it. Default ``'cris'``.
        thresholds: IoU levels of Pr@X in percent. Default (50, 60, 70, 80, 90).

    Returns:
        ``mIoU``, ``oIoU`` and ``Pr@X``.

    Raises:
        InputError: there are none or not equally many, sizes differ, or a probability is NaN or not from 0 to 1.
    """
    rules = resolve_protocol(protocol)
    predictions, truths = list(predictions), list(truths)
    if len(predictions) != len(truths):
        raise InputError(f'{len(predictions)} predictions and {len(truths)} ground truths do not pair up')
    if not truths:
        raise InputError('there are no expressions to evaluate')
    pairs = enumerate(zip(predictions, truths, strict=True))
    counts = np.array([_counts(*pair, rules, f'pair {index}') for index, pair in pairs], np.int64)
    return percentages(iou_ratios(counts[:, 0], unions_of(counts), thresholds, rules.empty_union, rules.comparison))


def _counts(prediction: Array, truth: Array, protocol: Protocol, where: str) -> list[int]:
    mask = _tensor(prediction)
    truth = _tensor(truth).to(mask.device)
    if truth.is_floating_point() or truth.ndim != 2:
        raise InputError(f'{where}: the ground truth must be a mask (H, W), boolean or integer, got {truth.dtype} and '
                         f'{tuple(truth.shape)}')
    if mask.is_floating_point():
        if not ((mask >= 0) & (mask <= 1)).all():
            raise InputError(f'{where}: its probabilities are not all from 0 to 1 (NaN is none); apply a sigmoid to '
                             'logits, and threshold other scores')
        mask = mask > protocol.threshold
    target = truth_mask(truth, protocol)
    if mask.shape != target.shape and mask.shape == truth.shape:
        mask = truth_mask(mask, protocol)
    if mask.shape != target.shape:
        raise InputError(f'{where}: the prediction is {tuple(mask.shape)} and the ground truth {tuple(truth.shape)} '
                         'pixels large; bring the prediction to the image\'s size')
    return pixel_counts(mask != 0, target).tolist()


def _tensor(values: Array) -> Tensor:
    # PyTorch takes no flipped views of NumPy.
    return torch.as_tensor(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)
