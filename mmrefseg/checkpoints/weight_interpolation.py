"""Weights between those of two checkpoints of one model."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from mmrefseg.errors import InputError


def interpolate(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> OrderedDict[str, Tensor]:
    """Weights on the line between two models, as WiSE-FT (arXiv 2109.01903) takes them after fine-tuning.

    Args:
        first: name → tensor, of the model before.
        second: the same of the model after; whole numbers, such as counters, are taken from here.
        share: of the second, 0 to 1.

    Returns:
        Name → tensor, in the second's types.

    Raises:
        InputError: ``share`` is no share, or names or shapes differ.
    """
    if not 0 <= share <= 1:
        raise InputError(f'the share of the second weights must lie between 0 and 1, got {share}')
    differing = sorted(name for name in {*first, *second}
                       if name not in first or name not in second or first[name].shape != second[name].shape)
    if differing:
        raise InputError(f'weights of different models cannot be interpolated: {len(differing)} differ in name or '
                         f'shape, such as {differing[0]}')
    return OrderedDict((name, torch.lerp(first[name].float(), value.float(), share).to(value.dtype)
                        if value.is_floating_point() else value) for name, value in second.items())
