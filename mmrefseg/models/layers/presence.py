"""Whether what an expression names is on the picture at all."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Count, Finite, Share

BLANK = -20.0
"""Logit of every pixel of an answer that is blanked; its probability is 2e-9."""

_TYPICAL_LOGIT = 10.0


@MODELS.register_module()
class PresenceOutput(nn.Module):
    """A logit from a map's positions, pooled, the sentence and the answer; its loss; and the blanking of answers.

    The map is pooled as a whole (mean and maximum) and where the answer is. Of the answer it sees the largest logit,
    the mean of the largest sixteenth, and the mean. The mask's own losses alone shape the answer.

    Args:
        in_channels: channels of the map.
        sentence_channels: channels of the sentence feature.
        channels: hidden width. Default 64.
        threshold: probability of presence below which an answer is blanked. Default 0.5.
        loss_weight: weight of the loss, beside the mask's. Default 1.0.
    """

    loss_name = 'loss_presence'

    def __init__(self, in_channels: Count, sentence_channels: Count, channels: Count = 64, threshold: Share = 0.5,
                 loss_weight: Finite = 1.0) -> None:
        super().__init__()
        self.sentence_channels = sentence_channels
        self.threshold, self.loss_weight = threshold, loss_weight
        self.map_layer = nn.Linear(3 * in_channels, channels)
        self.sentence_layer = nn.Linear(sentence_channels, channels)
        self.answer_layer = nn.Linear(3, channels)
        self.output = nn.Linear(channels, 1)

    def forward(self, x: Tensor, sentence: Tensor, mask_logits: Tensor) -> Tensor:
        """Score whether the referent is on the image at all.

        Args:
            x: (B, C, H, W).
            sentence: (B, D).
            mask_logits: the answers, (B, 1, h, w).

        Returns:
            float32 (B,).
        """
        answer = mask_logits.detach().float()
        share = F.adaptive_avg_pool2d(answer.sigmoid(), x.shape[-2:])
        share = (share / share.sum((2, 3), keepdim=True).clamp(min=1e-6)).to(x.dtype)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3)), (x * share).sum((2, 3))], dim=1)
        logits = answer.flatten(1)
        largest = logits.topk(max(logits.shape[1] // 16, 1)).values
        seen = torch.stack([largest[:, 0], largest.mean(1), logits.mean(1)], dim=1) / _TYPICAL_LOGIT
        hidden = self.map_layer(pooled) + self.sentence_layer(sentence) + self.answer_layer(seen.to(pooled.dtype))
        return self.output(F.relu(hidden))[:, 0].float()

    def loss(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Binary cross-entropy; samples whose pixels are all ignored do not count.

        Args:
            logits: (B,).
            masks: (B, 1, H, W) of 0 and 1; 255 is ignored.
        """
        counts = (masks != 255).flatten(1).any(1).float()
        target = (~self.absent(masks)).float()
        losses = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        return self.loss_weight * (losses * counts).sum() / counts.sum().clamp(min=1)

    @staticmethod
    def absent(masks: Tensor) -> Tensor:
        """Whether each sample is asked for what is not there; (B,), boolean.

        Args:
            masks: (B, 1, H, W) of 0 and 1; 255 is ignored.
        """
        return ~(masks == 1).flatten(1).any(1)

    def blank(self, mask_logits: Tensor, logits: Tensor) -> Tensor:
        """Mask logits, :data:`BLANK` all over where what is asked for seems not to be there.

        Args:
            mask_logits: (B, 1, h, w).
            logits: of presence, (B,).
        """
        absent = logits.sigmoid() < self.threshold
        return mask_logits.masked_fill(absent[:, None, None, None], BLANK)
