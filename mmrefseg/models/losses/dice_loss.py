"""Dice loss of one mask a sample."""
from torch import Tensor, nn

from mmrefseg.registry import MODELS


@MODELS.register_module()
class BinaryDiceLoss(nn.Module):
    """1 − Dice of the predicted and the true mask (arXiv 1606.04797), a sample at a time, averaged.

    mmseg's ``DiceLoss`` one-hot encodes the target, which a single output channel does not allow.

    Args:
        loss_weight: weight of the loss. Default 1.
        eps: added to both sides of the ratio, so that an empty mask is well-defined. Default 1.
        loss_name: name in the log; holds ``loss`` to count in the sum. Default ``loss_dice``.
    """

    def __init__(self,
                 loss_weight: float = 1.0,
                 eps: float = 1.0,
                 loss_name: str = 'loss_dice') -> None:
        super().__init__()
        self.loss_weight, self.eps, self.loss_name = loss_weight, eps, loss_name

    def forward(self, logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
        """Logits (B, 1, H, W) and target (B, H, W) of 0, 1 and ``ignore_index`` → scalar."""
        valid = (target != ignore_index).flatten(1)
        truth = (target == 1).flatten(1).float()
        probability = logits.float().sigmoid().flatten(1) * valid
        overlap = (probability * truth).sum(1)
        dice = (2 * overlap + self.eps) / (probability.sum(1) + truth.sum(1) + self.eps)
        return self.loss_weight * (1 - dice).mean()
