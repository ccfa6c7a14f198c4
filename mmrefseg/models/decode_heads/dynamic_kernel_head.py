"""The decode head that turns the sentence into the kernel of its last convolution."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.structures import RefSegDataSample
from mmrefseg.utils.type_hints import Count, Share

from ..layers import TextFeatures, check_heads, check_multiple, check_setting, is_whole
from ..layers.decoder import Decoder
from ..layers.projector import UpsampleProjector


def convolve_each(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each sample with a kernel of its own, zeros around it.

    A matrix product gives every kernel tap's response at every pixel, and ``fold`` moves and sums them; as a
    convolution with a group a sample it would be several times slower.

    Args:
        x: (B, C, H, W).
        kernels: (B, C, K, K), K odd.

    Returns:
        float32 (B, 1, H, W).
    """
    size = kernels.shape[-1]
    taps = kernels.flip(2, 3).flatten(2).transpose(1, 2) @ x.flatten(2)
    return F.fold(taps.float(), x.shape[-2:], size, padding=size // 2)


@MODELS.register_module()
class DynamicKernelHead(BaseModule):
    """Decoder and projector of CRIS (arXiv 2111.15174), which DETRIS and SERA share.

    A transformer decoder relates positions to words; the map is enlarged 4×; a convolution whose kernel and bias are a
    linear function of the sentence feature gives the logits.

    Args:
        in_channels: channels of the neck's map, a multiple of 4. Default 512.
        text_channels: channels of the word features, an even number. Default 512.
        sentence_channels: channels of the sentence feature. Default 512.
        num_layers: decoder layers. Default 3.
        num_heads: attention heads of the decoder; divides ``in_channels``. Default 8.
        ffn_channels: hidden width of the decoder's feed-forward part. Default 512.
        dropout: dropout of the decoder. Default 0.1.
        kernel_size: odd side of the generated kernel. Default 3.
        projector: config of what enlarges the decoder's map (B, ``in_channels``, H, W) to (B, ``in_channels`` // 2, 4H,
            4W); its ``in_channels`` and ``channels`` are set here. Default None: CRIS's ``UpsampleProjector``.
        loss_decode: config, or list of configs, of losses from logits (B, 1, h, w) and target (B, h, w); each has a
            ``loss_name``. Default None: binary cross-entropy.
        target: how masks are shrunk to the logits' resolution: ``'nearest'``, as the published code does, takes of each
            cell the first pixel, which moves what is learnt by up to half a cell to the right and down;
            ``'nearest-exact'`` takes the middle one. The difference counts where images are small. Default
            ``'nearest'``.
        presence: settings of :class:`~mmrefseg.models.layers.presence.PresenceOutput` but the widths, such as
            ``dict(threshold=0.5)``: the head then also says whether what is asked for is there, learns that beside the
            mask, and blanks its answers where it isn't. Default None, as in the published methods.
        init_cfg: initialisation config of mmengine. Default None.

    Raises:
        InputError: a width, ``num_heads`` or ``kernel_size`` does not fit, or all losses have a weight of 0.
    """

    takes_text = True

    def __init__(self,
                 in_channels: Count = 512,
                 text_channels: Count = 512,
                 sentence_channels: Count = 512,
                 num_layers: Count = 3,
                 num_heads: Count = 8,
                 ffn_channels: Count = 512,
                 dropout: Share = 0.1,
                 kernel_size: Count = 3,
                 projector: dict | None = None,
                 loss_decode: dict | Sequence[dict] | None = None,
                 target: Literal['nearest', 'nearest-exact'] = 'nearest',
                 presence: dict[str, Any] | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        check_multiple('in_channels of DynamicKernelHead', in_channels, 4)
        check_multiple('text_channels of DynamicKernelHead', text_channels, 2)
        check_heads('num_heads of DynamicKernelHead', num_heads, in_channels)
        check_setting('kernel_size of DynamicKernelHead', kernel_size,
                      is_whole(kernel_size, 1) and kernel_size % 2 == 1, 'an odd number, 1 or larger')
        self.kernel_size, self.target = kernel_size, target
        self.in_channels, self.text_channels, self.sentence_channels = in_channels, text_channels, sentence_channels
        self.decoder = Decoder(in_channels, text_channels, num_layers, num_heads, ffn_channels, dropout)
        widths = dict(in_channels=in_channels, channels=in_channels // 2)
        self.projector = MODELS.build({**projector, **widths}) if projector else UpsampleProjector(**widths)
        self.kernel = nn.Linear(sentence_channels, in_channels // 2 * kernel_size**2 + 1)
        self.presence = None if presence is None else MODELS.build(
            {'type': 'PresenceOutput', 'in_channels': in_channels, 'sentence_channels': sentence_channels, **presence})
        loss_decode = loss_decode or dict(type='mmrefseg.BinaryCrossEntropyLoss')
        configs = [loss_decode] if isinstance(loss_decode, dict) else loss_decode
        self.loss_decode = nn.ModuleList(MODELS.build(config) for config in configs)
        self._takes_ignored = all(getattr(loss, 'takes_ignored', False) for loss in self.loss_decode)
        weights = [getattr(loss, 'loss_weight', 1.0) for loss in self.loss_decode]
        check_setting('loss_weight of the losses of DynamicKernelHead', weights, any(weights),
                      'other than 0 for one at least: nothing would be learnt')

    def forward(self, maps: tuple[Tensor, ...], text: TextFeatures) -> Tensor:
        """Compute logits from the last map.

        Args:
            maps: the neck's maps; the last one (B, C, H, W) is used.
            text: features of words and sentence.

        Returns:
            Logits (B, 1, 4H, 4W).
        """
        return self._segment(self.decoder(maps[-1], text), text)

    def _segment(self, x: Tensor, text: TextFeatures) -> Tensor:
        """Logits from the decoder's map."""
        x = self.projector(x)
        kernel, bias = self.kernel(text.sentence).split((x.shape[1] * self.kernel_size**2, 1), dim=1)
        kernel = kernel.reshape(*x.shape[:2], self.kernel_size, self.kernel_size)
        return convolve_each(x, kernel) + bias[:, :, None, None]

    def loss(self, maps: tuple[Tensor, ...], text: TextFeatures,
             data_samples: list[RefSegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch, by name; masks are shrunk to the logits' resolution.

        Args:
            maps: see :meth:`forward`.
            text: see :meth:`forward`.
            data_samples: the samples, with ``gt_sem_seg``.
        """
        masks = torch.stack([sample.gt_sem_seg.data for sample in data_samples])
        if self.presence is None:
            return self.loss_by_feat(self.forward(maps, text), masks)
        x = self.decoder(maps[-1], text)
        logits = self._segment(x, text)
        present = self.presence(x, text.sentence, logits)
        named = masks.masked_fill(self.presence.absent(masks)[:, None, None, None], 255)
        return {**self.loss_by_feat(logits, named), self.presence.loss_name: self.presence.loss(present, masks)}

    def loss_by_feat(self, logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Losses from logits, in float32; 0 for a batch whose pixels are all ignored.

        Args:
            logits: (B, 1, h, w).
            masks: (B, 1, H, W) of 0 and 1; 255 is ignored.
        """
        target = F.interpolate(masks.float(), logits.shape[-2:], mode=self.target).squeeze(1).long()
        if not self._takes_ignored and (target == 255).all():  # mmseg's losses look for their largest target
            return {loss.loss_name: 0 * logits.float().sum() for loss in self.loss_decode}
        losses: dict[str, Tensor] = {}
        for loss in self.loss_decode:
            losses[loss.loss_name] = losses.get(loss.loss_name, 0) + loss(logits.float(), target, ignore_index=255)
        return losses

    def predict(self, maps: tuple[Tensor, ...], text: TextFeatures) -> Tensor:
        """Logits (B, 1, 4H, 4W); with ``presence`` blanked where what is asked for seems not to be there.

        Args:
            maps: see :meth:`forward`.
            text: see :meth:`forward`.
        """
        if self.presence is None:
            return self.forward(maps, text)
        x = self.decoder(maps[-1], text)
        logits = self._segment(x, text)
        return self.presence.blank(logits, self.presence(x, text.sentence, logits))
