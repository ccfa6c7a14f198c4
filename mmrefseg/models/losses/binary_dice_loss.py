"""Dice loss of one mask per sample."""
from __future__ import annotations

from typing import Annotated

from torch import Tensor

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Finite, Range

from .mask_loss import MaskLoss, Pixels


@MODELS.register_module()
class BinaryDiceLoss(MaskLoss):
    """1 − Dice of the predicted and the true mask (arXiv 1606.04797), for each sample, averaged.

    mmseg's ``DiceLoss`` one-hot encodes the target, which a single output channel does not allow.

    Args:
        loss_weight: weight of the loss. Default 1.
        eps: added to both sides of the ratio, so that an empty mask is well-defined. Default 1.
        loss_name: name in the log; holds ``loss`` to count in the sum. Default ``loss_dice``.
    """

    def __init__(self,
                 loss_weight: Finite = 1.0,
                 eps: Annotated[float, Range(1e-12)] = 1.0,
                 loss_name: str = 'loss_dice') -> None:
        super().__init__(loss_weight, loss_name)
        self.eps = eps

    def value(self, pixels: Pixels) -> Tensor:
        """Scalar; 0 where no pixel counts."""
        truth = pixels.truth * pixels.weight
        probability = pixels.logits.sigmoid() * pixels.weight
        overlap = (probability * pixels.truth).sum(1)
        dice = (2 * overlap + self.eps) / (probability.sum(1) + truth.sum(1) + self.eps)
        return (1 - dice).mean()
