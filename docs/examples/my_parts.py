"""A neck and a decode head of one's own."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefseg.models import TextFeatures
from mmrefseg.registry import MODELS
from mmrefseg.structures import RefSegDataSample


@MODELS.register_module()
class ScaleShiftNeck(BaseModule):
    """Scales and shifts each channel of the last map, as the sentence feature says."""

    takes_text = True  # without it, forward would get the maps alone

    def __init__(self, in_channels: tuple[int, ...], channels: int,
                 sentence_channels: int) -> None:
        super().__init__()
        # Compared with the widths that the parts beside it and the text encoder have.
        self.in_channels, self.out_channels = tuple(in_channels), (channels, )
        self.sentence_channels = sentence_channels
        self.project = nn.Conv2d(in_channels[-1], channels, 1)
        self.modulate = nn.Linear(sentence_channels, 2 * channels)

    def forward(self, maps: tuple[Tensor, ...], text: TextFeatures) -> tuple[Tensor]:
        """Maps (B, C_i, H, W) → one map (B, channels, H, W)."""
        scale, shift = self.modulate(text.sentence)[:, :, None, None].chunk(2, dim=1)
        return (F.relu(self.project(maps[-1]) * (1 + scale) + shift), )


@MODELS.register_module()
class WordHead(BaseModule):
    """Compares each position of the map with the mean of the word features."""

    takes_text = True

    def __init__(self, in_channels: int, text_channels: int) -> None:
        super().__init__()
        self.in_channels, self.text_channels = in_channels, text_channels
        self.project = nn.Conv2d(in_channels, text_channels, 1)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, maps: tuple[Tensor, ...], text: TextFeatures) -> Tensor:
        """The last map (B, C, H, W) → logits (B, 1, H, W)."""
        mask = text.mask[:, :, None]  # leaves the padding out
        words = (text.tokens * mask).sum(1) / mask.sum(1)
        fit = torch.einsum('bchw,bc->bhw', self.project(maps[-1]), words)
        return fit[:, None] / words.shape[1]**0.5 + self.bias

    def loss(self, maps: tuple[Tensor, ...], text: TextFeatures,
             samples: list[RefSegDataSample]) -> dict[str, Tensor]:
        """Losses by name; those with ``loss`` in their names are summed."""
        logits = self.forward(maps, text).float()  # float32, also under mixed precision
        masks = torch.stack([sample.gt_sem_seg.data for sample in samples])  # (B, 1, H, W)
        target = F.interpolate(masks.float(), logits.shape[-2:], mode='nearest')
        return dict(loss_ce=F.binary_cross_entropy_with_logits(logits, target))

    def predict(self, maps: tuple[Tensor, ...], text: TextFeatures) -> Tensor:
        """Logits (B, 1, H, W); the segmentor brings them to the size of the image."""
        return self.forward(maps, text)
