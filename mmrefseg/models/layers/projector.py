"""CRIS's visual projector, and what SegVLM adds to it: two upsampling stages and a 1×1 convolution."""
from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from .deformable_conv import DeformableConv
from .setting_checks import check_setting, is_whole


def _squeeze_and_excitation(channels: int, ratio: int) -> nn.Module:
    from mmseg.models.utils import SELayer  # here, as it takes a second that few models spend

    return SELayer(channels, ratio, act_cfg=(dict(type='ReLU'), dict(type='Sigmoid')))


class UpsampleStage(ConvModule):
    """Enlarges a map 2× and convolves it, with up to three additions of SegVLM (arXiv 2505.19242).

    With y the enlarged map, the output is SE(φ(y)) + F(y): φ is a 3×3 convolution with BN and ReLU, deformable or not;
    SE weighs its channels by what they hold on average; F is a 1×1 convolution with BN. The paper leaves open where the
    resolutions meet; that both terms see y is our reading.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        dcn: ``'DCN'`` or ``'DCNv2'`` to make φ deformable, None for a plain convolution. Default None.
        deform_groups: see :class:`DeformableConv`. Default 1.
        dcn_operator: see ``operator`` of :class:`DeformableConv`. Default ``'auto'``.
        residual: whether F(y) is added. Default False.
        se_ratio: how many times narrower the middle of SE is (at least 8 channels); None leaves SE out. Default None.

    Raises:
        InputError: ``se_ratio`` is no whole number from 1.
    """

    def __init__(self,
                 in_channels: int,
                 channels: int,
                 dcn: str | None = None,
                 deform_groups: int = 1,
                 dcn_operator: str = 'auto',
                 residual: bool = False,
                 se_ratio: int | None = None) -> None:
        check_setting('se_ratio', se_ratio, se_ratio is None or is_whole(se_ratio, 1), 'a whole number from 1, or None')
        norm_cfg = dict(type='BN')
        super().__init__(in_channels, channels, 3, padding=1, norm_cfg=norm_cfg)
        if dcn is not None:
            self.conv = DeformableConv(in_channels, channels, dcn, deform_groups, dcn_operator)
            self.init_weights()
        self.excite = None if se_ratio is None else _squeeze_and_excitation(channels, se_ratio)
        self.residual = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None) if residual else None

    def init_weights(self) -> None:
        """Kaiming's initialisation of φ; offsets are zero, whatever an ``init_cfg`` further up did to them."""
        super().init_weights()
        if isinstance(self.conv, DeformableConv):
            self.conv.zero_offsets()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, channels, 2H, 2W)."""
        large = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        output = super().forward(large)
        if self.excite is not None:
            output = self.excite(output)
        return output if self.residual is None else output + self.residual(large)


class UpsampleProjector(nn.Module):
    """Enlarges a map 4× in two stages of bilinear ×2 and 3×3 convolution (arXiv 2111.15174).

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        **additions: ``dcn`` and what follows it in :class:`UpsampleStage`, for both stages; without any, the projector
            is CRIS's.
    """

    def __init__(self, in_channels: int, channels: int, **additions: Any) -> None:
        super().__init__()
        self.conv1 = UpsampleStage(in_channels, in_channels, **additions)
        self.conv2 = UpsampleStage(in_channels, channels, **additions)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge a map four times.

        Args:
            x: (B, in_channels, H, W).

        Returns:
            (B, channels, 4H, 4W).
        """
        return self.out(self.conv2(self.conv1(x)))
