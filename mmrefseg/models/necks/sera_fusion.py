"""SERA-Fusion: routed experts on each map, then fusion with the sentence."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefseg.registry import MODELS

from ..layers import ExpertMixture, Router, RoutingInfo, TextFeatures
from ..layers.coordinates import CoordConv
from ..layers.fusion_experts import BoundaryExpert, ContextualExpert, ShapeExpert, SpatialExpert


def fusion_experts(channels: int, num_heads: int) -> dict[str, nn.Module]:
    """The four experts for maps of ``channels``, by name."""
    return dict(
        spatial=SpatialExpert(channels),
        contextual=ContextualExpert(channels, num_heads),
        boundary=BoundaryExpert(channels),
        shape=ShapeExpert(channels))


class SentenceGate(nn.Module):
    """Multiplies each position by its cross-attention to the sentence feature.

    Attention over a single key has weight 1 whatever the query, so only the value and output projections of the
    published multi-head attention have an effect, and only they are kept.

    Args:
        channels: channels of map and sentence.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, sentence: Tensor) -> Tensor:
        """(B, C, H, W) and (B, C) → (B, C, H, W)."""
        return x * self.out(self.value(sentence))[:, :, None, None]


@MODELS.register_module()
class SERAFusion(BaseModule):
    """SERA-Fusion (arXiv 2603.12538) on the neck of DETRIS (arXiv 2501.08580).

    Each map passes a mixture of spatial, contextual, boundary and shape experts with its own router, is projected
    to ``channels`` and gated by the sentence; the maps are concatenated, reduced and refined. The experts work at the
    map's own width: a map of patch tokens already is a spatial grid (our reading).

    Args:
        in_channels: channels of each map; all maps have one resolution. Default (768, 768, 768).
        channels: channels of the output. Default 512.
        sentence_channels: channels of the sentence feature; None leaves out the gates, for models without text.
            Default 512.
        top_k: experts chosen a sample, 1 to 4; None leaves out experts and routers, which is DETRIS's neck.
            Default 4.
        num_heads: attention heads of the contextual experts (our reading). Default 8.
        router_channels: hidden width of the routers (our reading). Default 128.
        noise_std: standard deviation of the noise on the routers' logits in training (our reading). Default 0.1.
        init_cfg: initialisation config of mmengine. Default None.
    """

    takes_text = True

    def __init__(self,
                 in_channels: Sequence[int] = (768, 768, 768),
                 channels: int = 512,
                 sentence_channels: int | None = 512,
                 top_k: int | None = 4,
                 num_heads: int = 8,
                 router_channels: int = 128,
                 noise_std: float = 0.1,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        norm_cfg = dict(type='BN')
        self.mixtures = nn.ModuleList()
        if top_k is not None:
            for i, width in enumerate(in_channels):
                experts = fusion_experts(width, num_heads)
                router = Router(width, tuple(experts), f'fusion.{i}', router_channels, top_k, noise_std)
                self.mixtures.append(ExpertMixture(experts, router))
        self.project = nn.ModuleList(ConvModule(width, channels, 1, norm_cfg=norm_cfg) for width in in_channels)
        self.gates = nn.ModuleList()
        if sentence_channels is not None:
            self.project_sentence = nn.Linear(sentence_channels, channels)
            self.gates.extend(SentenceGate(channels) for _ in in_channels)
        self.reduce = ConvModule(len(in_channels) * channels, channels, 1, norm_cfg=norm_cfg)
        self.refine = nn.Sequential(
            CoordConv(channels, channels), ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg))

    def forward(self, maps: tuple[Tensor, ...], text: TextFeatures | None = None) -> tuple[Tensor]:
        """Fuse maps (B, C_i, H, W) into one (B, channels, H, W); without text, no gate is applied."""
        return self.forward_with_routing(maps, text)[0]

    def forward_with_routing(self,
                             maps: tuple[Tensor, ...],
                             text: TextFeatures | None = None) -> tuple[tuple[Tensor], tuple[RoutingInfo, ...]]:
        """As :meth:`forward`, with what the routers decided."""
        routing = []
        if self.mixtures:
            maps, routing = zip(*(mixture(x) for mixture, x in zip(self.mixtures, maps, strict=True)), strict=True)
        maps = [project(x) for project, x in zip(self.project, maps, strict=True)]
        if text is not None and len(self.gates):
            sentence = self.project_sentence(text.sentence)
            maps = [gate(x, sentence) for gate, x in zip(self.gates, maps, strict=True)]
        fused = self.reduce(torch.cat(maps, dim=1))
        return (fused + self.refine(fused), ), tuple(routing)
