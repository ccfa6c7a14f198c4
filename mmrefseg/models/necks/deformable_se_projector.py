"""SegVLM's projector."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Count

from ..layers import check_setting
from ..layers.projector import UpsampleProjector


@MODELS.register_module()
class DeformableSEProjector(UpsampleProjector, BaseModule):
    """SegVLM's deformable-attentive projector (arXiv 2505.19242): enlarges maps 4× in two stages, without text.

    In each stage, with y the map enlarged 2× (bilinear), the output is SE(φ(y)) + F(y): φ a deformable 3×3 convolution
    with BN and ReLU, SE squeeze-and-excitation, F a 1×1 convolution with BN. The paper leaves open where the
    resolutions meet; this is our reading. A 1×1 convolution follows the stages. Without all three additions it is
    CRIS's projector (arXiv 2111.15174), whose weights have the same names.

    As ``projector`` of :class:`DynamicKernelHead` it works on the one map there; as a neck, on each of several maps
    with weights of its own.

    Args:
        in_channels: channels of the map, or of each of several.
        channels: channels of the output maps.
        dcn: ``'DCN'`` for a deformable convolution as in the paper, ``'DCNv2'`` for one that also weighs its samples,
            or None for a plain one. Default ``'DCN'``.
        deform_groups: groups of channels that have offsets of their own; divides ``in_channels``. Default 1.
        dcn_operator: ``'auto'``, or what computes the convolutions: ``'mmcv'``, ``'torchvision'`` or ``'torch'``.
            Default ``'auto'``.
        residual: whether F(y) is added. Default True.
        se_ratio: how many times narrower the middle of SE is (at least 8 channels; ours, the paper names none); None
            leaves SE out. Default 16.
        init_cfg: initialisation config of mmengine. Offsets start at zero nevertheless. Default None.

    Raises:
        InputError: ``dcn`` or ``dcn_operator`` is unknown, or ``deform_groups`` doesn't divide the channels.
    """

    def __init__(self,
                 in_channels: Count | Sequence[Count],
                 channels: Count,
                 dcn: str | None = 'DCN',
                 deform_groups: Count = 1,
                 dcn_operator: str = 'auto',
                 residual: bool = True,
                 se_ratio: Count | None = 16,
                 init_cfg: dict | list[dict] | None = None) -> None:
        additions = dict(
            dcn=dcn, deform_groups=deform_groups, dcn_operator=dcn_operator, residual=residual, se_ratio=se_ratio)
        widths = [in_channels] if isinstance(in_channels, int) else in_channels
        check_setting('in_channels of DeformableSEProjector', in_channels, len(widths) > 0, 'one width at least')
        first, *others = widths
        super().__init__(first, channels, **additions)
        self.init_cfg = init_cfg
        self.in_channels, self.out_channels = (first, *others), (channels, ) * (1 + len(others))
        # Beside the first map's weights, not with them in one list: those are named as CRIS's.
        self.others = ModuleList(DeformableSEProjector(width, channels, **additions) for width in others)

    def forward(self, maps: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """One map (B, C, H, W), or a tuple of maps (B, C_i, H_i, W_i); returns the same, (B, channels, 4H, 4W) each.

        Raises:
            InputError: there are more or fewer maps than ``in_channels``.
        """
        if isinstance(maps, Tensor):
            return super().forward(maps)
        if len(maps) != 1 + len(self.others):
            raise InputError(f'got {len(maps)} maps, but in_channels of DeformableSEProjector names '
                             f'{1 + len(self.others)}: one number a map')
        first, *others = maps
        return (super().forward(first), *(project(x) for project, x in zip(self.others, others, strict=True)))
