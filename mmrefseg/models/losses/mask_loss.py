"""What losses of one mask per sample have in common."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from mmrefseg.errors import InputError
from mmrefseg.utils.type_hints import Finite


class Pixels(NamedTuple):
    """Pixels in a row, N of each sample, in float32.

    Args:
        logits: (B, N).
        truth: (B, N), 1 on the referent and 0 elsewhere.
        counted: (B, N), 0 where a pixel is ignored and 1 elsewhere.
        weight: (B, N), how much a pixel counts; 0 where it is ignored.
    """

    logits: Tensor
    truth: Tensor
    counted: Tensor
    weight: Tensor


class MaskLoss(nn.Module, ABC):
    """A loss from the logits of one mask per sample, which mmseg's heads can take as well as ours.

    Args:
        loss_weight: weight of the loss.
        loss_name: name in the log; holds ``loss`` to count in the sum.
    """

    takes_ignored = True  # of a batch that is ignored as a whole, too

    def __init__(self, loss_weight: Finite, loss_name: str) -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """The weighted scalar in float32; without a pixel that counts it is finite, and has a gradient of 0.

        Args:
            logits: (B, 1, H, W).
            target: (B, H, W) of 0, 1 and ``ignore_index``.
            weight: weight of each pixel (B, H, W), which heads of mmseg pass on. Default None: 1.
            ignore_index: value of pixels that don't count. Default 255.

        Raises:
            InputError: there is not one channel, or target or weight is of another size.
        """
        shape = (logits.shape[0], *logits.shape[2:])
        if logits.ndim != 4 or logits.shape[1] != 1 or target.shape != shape or (weight is not None
                                                                               and weight.shape != shape):
            sizes = f'logits {tuple(logits.shape)}, target {tuple(target.shape)}'
            sizes += f', weight {tuple(weight.shape)}' if weight is not None else ''
            raise InputError(f'{type(self).__name__} got {sizes}; it needs logits (B, 1, H, W), the rest (B, H, W): '
                             'set out_channels=1 in a head of mmseg')
        counted = (target != ignore_index).float()
        pixels = Pixels(
            logits.float().flatten(1),
            (target == 1).float().flatten(1),
            counted.flatten(1),
            (counted if weight is None else counted * weight.float()).flatten(1),
        )
        return self.loss_weight * self.value(pixels)

    @abstractmethod
    def value(self, pixels: Pixels) -> Tensor:
        """The unweighted loss, a scalar.

        Args:
            pixels: those of a batch.
        """
