"""Dice loss of one mask a sample."""
from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Finite, Range

from .pixels import flatten_pixels


@MODELS.register_module()
class BinaryDiceLoss(nn.Module):
    """1 − Dice of the predicted and the true mask (arXiv 1606.04797), a sample at a time, averaged.

    mmseg's ``DiceLoss`` one-hot encodes the target, which a single output channel does not allow.

    Args:
        loss_weight: weight of the loss. Default 1.
        eps: added to both sides of the ratio, so that an empty mask is well-defined. Default 1.
        loss_name: name in the log; holds ``loss`` to count in the sum. Default ``loss_dice``.
    """

    takes_ignored = True  # of a batch that is ignored as a whole, too

    def __init__(self,
                 loss_weight: Finite = 1.0,
                 eps: Annotated[float, Range(1e-12)] = 1.0,
                 loss_name: str = 'loss_dice') -> None:
        super().__init__()
        self.loss_weight, self.eps, self.loss_name = loss_weight, eps, loss_name

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """The weighted scalar.

        Args:
            logits: (B, 1, H, W).
            target: (B, H, W) of 0, 1 and ``ignore_index``.
            weight: weight of each pixel (B, H, W), which heads of mmseg pass on. Default None: 1.
            ignore_index: value of pixels that don't count. Default 255.

        Raises:
            InputError: the shapes are others.
        """
        pixels = flatten_pixels('BinaryDiceLoss', logits, target, ignore_index, weight)
        truth = pixels.truth * pixels.weight
        probability = pixels.logits.sigmoid() * pixels.weight
        overlap = (probability * pixels.truth).sum(1)
        dice = (2 * overlap + self.eps) / (probability.sum(1) + truth.sum(1) + self.eps)
        return self.loss_weight * (1 - dice).mean()
