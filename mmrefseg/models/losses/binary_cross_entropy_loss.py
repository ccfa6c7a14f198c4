"""Binary cross-entropy of one mask per sample."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Finite

from .pixels import flatten_pixels


@MODELS.register_module()
class BinaryCrossEntropyLoss(nn.Module):
    """Binary cross-entropy from logits, averaged over the pixels that count.

    Equal to mmseg's ``CrossEntropyLoss`` with ``use_sigmoid`` and ``avg_non_ignore``, without its questions to the
    device: nothing waits, and graphs hold it whole.

    Args:
        loss_weight: weight of the loss. Default 1.
        loss_name: name in the log; holds ``loss`` to count in the sum. Default ``loss_ce``, mmseg's.
    """

    takes_ignored = True  # of a batch that is ignored as a whole, too

    def __init__(self, loss_weight: Finite = 1.0, loss_name: str = 'loss_ce') -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255) -> Tensor:
        """The weighted scalar; 0 where no pixel counts.

        Args:
            logits: (B, 1, H, W).
            target: (B, H, W) of 0, 1 and ``ignore_index``.
            weight: weight of each pixel (B, H, W), which heads of mmseg pass on. Default None: 1.
            ignore_index: value of pixels that don't count. Default 255.

        Raises:
            InputError: the shapes are others.
        """
        pixels = flatten_pixels('BinaryCrossEntropyLoss', logits, target, ignore_index, weight)
        total = F.binary_cross_entropy_with_logits(pixels.logits, pixels.truth, pixels.weight, reduction='sum')
        counted = (target != ignore_index).sum()
        return self.loss_weight * total / counted.clamp(min=1)
