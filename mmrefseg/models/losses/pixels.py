"""What losses of one mask a sample start from."""
from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from mmrefseg.errors import InputError


class Pixels(NamedTuple):
    """Pixels in a row, N of each sample, in float32.

    Args:
        logits: (B, N).
        truth: (B, N), 1 on the referent and 0 elsewhere.
        weight: (B, N), how much a pixel counts; 0 where it is ignored.
    """

    logits: Tensor
    truth: Tensor
    weight: Tensor


def flatten_pixels(what: str, logits: Tensor, target: Tensor, ignore_index: int, weight: Tensor | None) -> Pixels:
    """Bring logits and target to one shape and to float32.

    Args:
        what: the loss, for the message.
        logits: (B, 1, H, W).
        target: (B, H, W) of 0, 1 and ``ignore_index``.
        ignore_index: value of pixels that don't count.
        weight: weight of each pixel (B, H, W), which heads of mmseg pass on; None for 1.

    Returns:
        The pixels.

    Raises:
        InputError: there is not one channel, or target or weight is of another size.
    """
    shape = (logits.shape[0], *logits.shape[2:])
    if logits.ndim != 4 or logits.shape[1] != 1 or target.shape != shape or (weight is not None
                                                                           and weight.shape != shape):
        sizes = f'logits {tuple(logits.shape)}, target {tuple(target.shape)}'
        sizes += f', weight {tuple(weight.shape)}' if weight is not None else ''
        raise InputError(f'{what} got {sizes}; it needs logits (B, 1, H, W), the rest (B, H, W): '
                         'set out_channels=1 in a head of mmseg')
    counts = (target != ignore_index).float()
    if weight is not None:
        counts = counts * weight.float()
    return Pixels(logits.float().flatten(1), (target == 1).float().flatten(1), counts.flatten(1))
