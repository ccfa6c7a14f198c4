"""The neck of CRIS: a feature pyramid whose coarsest map meets the sentence."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Count

from ..layers import TextFeatures, check_setting
from ..layers.coordinates import CoordConv


def _conv(in_channels: int, out_channels: int, kernel_size: int) -> ConvModule:
    """Convolution (BN, ReLU) that keeps the resolution."""
    return ConvModule(in_channels, out_channels, kernel_size, padding=kernel_size // 2, norm_cfg=dict(type='BN'))


@MODELS.register_module()
class CRISFPN(BaseModule):
    """Text-conditioned feature pyramid of CRIS (arXiv 2111.15174).

    The coarsest of three maps is multiplied by the projected sentence and passed on to the middle one, which is passed
    on to the finest. Then all three, brought to the middle resolution, are concatenated, reduced and refined.

    In training a batch must hold at least two expressions (:attr:`least_batch`): the projection of the sentence has
    batch statistics, and those of one expression would leave nothing of it.

    Args:
        in_channels: channels of the three maps, the finest first. Default (512, 1024, 512).
        channels: widths of the three levels; the middle one is that of the output. Default (256, 512, 1024).
        sentence_channels: channels of the sentence feature. Default 512.
        init_cfg: initialisation config of mmengine. Default None.

    Raises:
        InputError: ``in_channels`` or ``channels`` is not three numbers.
    """

    takes_text = True

    def __init__(self,
                 in_channels: tuple[Count, Count, Count] = (512, 1024, 512),
                 channels: tuple[Count, Count, Count] = (256, 512, 1024),
                 sentence_channels: Count = 512,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        for name, widths in (('in_channels', in_channels), ('channels', channels)):
            check_setting(f'{name} of CRISFPN', widths, isinstance(widths, Sequence) and len(widths) == 3,
                          'three numbers, one a map')
        fine, middle, coarse = channels
        self.sentence_channels = sentence_channels
        self.in_channels, self.out_channels = tuple(in_channels), (middle, )
        self.project_sentence = nn.Sequential(
            nn.Linear(sentence_channels, coarse, bias=False), nn.BatchNorm1d(coarse), nn.ReLU())
        self.project = nn.ModuleList([
            _conv(in_channels[0], fine, 3), _conv(in_channels[1], middle, 3), _conv(in_channels[2], coarse, 1)])
        self.gated_norm = nn.BatchNorm2d(coarse)
        self.join = nn.ModuleList([_conv(fine + middle, middle, 1), _conv(middle + coarse, middle, 1)])
        self.smooth = nn.ModuleList([_conv(middle, middle, 3), _conv(middle, middle, 3), _conv(coarse, middle, 3)])
        self.reduce = _conv(3 * middle, middle, 1)
        self.refine = nn.Sequential(CoordConv(middle, middle), _conv(middle, middle, 3))

    @property
    def least_batch(self) -> int:
        """Samples that a process needs in each batch of training."""
        # With SyncBN the statistics are those of all processes.
        return 2 if isinstance(self.project_sentence[1], nn.BatchNorm1d) else 1

    def forward(self, maps: tuple[Tensor, Tensor, Tensor], text: TextFeatures) -> tuple[Tensor]:
        """Fuse maps (B, C_i, H_i, W_i), each half as high and wide as the one before, at the middle one's size.

        Args:
            maps: the backbone's three maps (B, C_i, H_i, W_i), the finest first.
            text: text features; the sentence's are used.

        Returns:
            One map (B, channels[1], H_1, W_1).

        Raises:
            InputError: the sizes of the maps are not such, or in training there is one sample only.
        """
        return self.forward_text(self.forward_image(maps), text)

    def forward_image(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What sees no text: the projections of the maps, the finest brought to the middle one's size.

        Args:
            maps: see :meth:`forward`.

        Raises:
            InputError: the sizes of the maps don't fit.
        """
        self._check_sizes(maps)
        fine, middle, coarse = (project(x) for project, x in zip(self.project, maps, strict=True))
        return F.avg_pool2d(fine, 2), middle, coarse

    def forward_text(self, shared: tuple[Tensor, Tensor, Tensor], text: TextFeatures) -> tuple[Tensor]:
        """Continue where :meth:`forward_image` stopped; both together are :meth:`forward`.

        Args:
            shared: what that gave, one per expression.
            text: features of the expressions.

        Raises:
            InputError: in training there is one sample only.
        """
        if self.project_sentence.training and len(text.sentence) < self.least_batch:
            raise InputError('CRISFPN got one sample to train on; it needs two in a batch, as it has batch statistics '
                             'of sentences. Raise the batch size, or set drop_last=True if it was the last batch')
        fine, middle, coarse = shared
        sentence = self.project_sentence(text.sentence)[:, :, None, None]
        coarse = F.relu(self.gated_norm(coarse * sentence))
        middle = self.join[1](torch.cat((middle, self._enlarged(coarse)), dim=1))
        fine = self.join[0](torch.cat((fine, middle), dim=1))
        fine, middle, coarse = (smooth(x) for smooth, x in zip(self.smooth, (fine, middle, coarse), strict=True))
        return (self.refine(self.reduce(torch.cat((fine, middle, self._enlarged(coarse)), dim=1))), )

    @staticmethod
    def _enlarged(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode='bilinear')

    @staticmethod
    def _check_sizes(maps: Sequence[Tensor]) -> None:
        sizes = [tuple(x.shape[-2:]) for x in maps]
        height, width = sizes[-1]
        if sizes != [(4 * height, 4 * width), (2 * height, 2 * width), (height, width)]:
            raise InputError(f'the maps are {", ".join(f"{h}×{w}" for h, w in sizes)}; CRISFPN takes three, each half '
                             'as high and wide as the one before. With CLIPResNet the height and width of the images '
                             'must be multiples of 32')
