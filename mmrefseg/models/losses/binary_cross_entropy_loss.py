"""Binary cross-entropy of one mask per sample."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Finite

from .mask_loss import MaskLoss, Pixels


@MODELS.register_module()
class BinaryCrossEntropyLoss(MaskLoss):
    """Binary cross-entropy from logits, averaged over the pixels that count.

    Equal to mmseg's ``CrossEntropyLoss`` with ``use_sigmoid`` and ``avg_non_ignore``, without its questions to the
    device: nothing waits, and graphs hold it whole.

    Args:
        loss_weight: weight of the loss. Default 1.
        loss_name: name in the log; holds ``loss`` to count in the sum. Default ``loss_ce``, mmseg's.
    """

    def __init__(self, loss_weight: Finite = 1.0, loss_name: str = 'loss_ce') -> None:
        super().__init__(loss_weight, loss_name)

    def value(self, pixels: Pixels) -> Tensor:
        """Scalar; 0 where no pixel counts."""
        total = F.binary_cross_entropy_with_logits(pixels.logits, pixels.truth, pixels.weight, reduction='sum')
        return total / pixels.counted.sum().clamp(min=1)
