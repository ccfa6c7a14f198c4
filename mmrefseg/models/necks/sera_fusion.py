"""SERA-Fusion: routed experts on each map, then fusion with the sentence."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Count

from ..layers import ExpertMixture, Router, RoutingInfo, TextFeatures, check_heads, check_setting, choose_experts
from ..layers.coordinates import CoordConv
from ..layers.experts import BoundaryExpert, ContextualExpert, ShapeExpert, SpatialExpert

FUSION_EXPERTS = ('spatial', 'contextual', 'boundary', 'shape')


def fusion_experts(channels: int, num_heads: int, names: Sequence[str] = FUSION_EXPERTS) -> dict[str, nn.Module]:
    """Build some of the four experts, by their names.

    Args:
        channels: channels of the maps.
        num_heads: heads of the contextual expert's attention; divides ``channels``.
        names: which experts. Default all four.
    """
    available = dict(
        spatial=partial(SpatialExpert, channels),
        contextual=partial(ContextualExpert, channels, num_heads),
        boundary=partial(BoundaryExpert, channels),
        shape=partial(ShapeExpert, channels))
    if 'contextual' in names:
        check_heads('num_heads of SERAFusion', num_heads, channels)
    return choose_experts('experts of SERAFusion', names, available)


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
        """Multiply a map by what the sentence says of each channel.

        Args:
            x: (B, C, H, W).
            sentence: (B, C).

        Returns:
            (B, C, H, W).
        """
        return x * self.out(self.value(sentence))[:, :, None, None]


@MODELS.register_module()
class SERAFusion(BaseModule):
    """SERA-Fusion (arXiv 2603.12538) on the neck of DETRIS (arXiv 2501.08580).

    Each map passes a mixture of spatial, contextual, boundary and shape experts with its own router, is projected
    to ``channels`` and gated by the sentence; the maps are concatenated, reduced and refined. The experts work at the
    map's own width: a map of patch tokens already is a spatial grid (our reading).

    Args:
        in_channels: channels of each map. Default (768, 768, 768).
        channels: channels of the output. Default 512.
        sentence_channels: channels of the sentence feature; None leaves out the gates, for models without text.
            Default 512.
        experts: which experts there are; () leaves out experts and routers, which is DETRIS's neck.
            Default ``('spatial', 'contextual', 'boundary', 'shape')``.
        top_k: experts chosen per sample, 1 to their number; None for all of them, the published best. Default None.
        num_heads: attention heads of the contextual experts (our reading); divides ``in_channels``. Default 8.
        router_channels: hidden width of the routers (our reading). Default 128.
        noise_std: standard deviation of the noise on the routers' logits in training (our reading). Default 0.1.
        temperature: the routers' scores are divided by it ahead of the softmax (our reading). Default 1.
        balancing_rate: see :class:`~mmrefseg.models.layers.Router` (our reading). Default 0.
        route_by_sentence: whether the routers see the sentence feature, too; the published ones see the map alone.
            Default False.
        resize_to: index of the map whose resolution all maps get ahead of the experts, for backbones with several
            strides; the contextual experts attend over all its positions. Default None: they must have one already.
        init_cfg: initialisation config of mmengine. Default None.

    Raises:
        InputError: an expert is unknown, ``top_k``, ``resize_to`` or a setting of the routers is out of range,
            ``num_heads`` doesn't divide the channels of a map, or ``route_by_sentence`` is set without
            ``sentence_channels``.
    """

    takes_text = True

    def __init__(self,
                 in_channels: Sequence[Count] = (768, 768, 768),
                 channels: Count = 512,
                 sentence_channels: Count | None = 512,
                 experts: Sequence[str] = FUSION_EXPERTS,
                 top_k: int | None = None,
                 num_heads: Count = 8,
                 router_channels: Count = 128,
                 noise_std: float = 0.1,
                 temperature: float = 1.0,
                 balancing_rate: float = 0.0,
                 route_by_sentence: bool = False,
                 resize_to: int | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        check_setting('in_channels of SERAFusion', in_channels,
                      isinstance(in_channels, Sequence) and len(in_channels) > 0, 'a list with the width of each map')
        if resize_to is not None and not -len(in_channels) <= resize_to < len(in_channels):
            raise InputError(f'resize_to is {resize_to}; it must be the index of one of the {len(in_channels)} maps')
        check_setting('route_by_sentence of SERAFusion', route_by_sentence,
                      not route_by_sentence or sentence_channels is not None, 'False where sentence_channels is None')
        self.resize_to, self.route_by_sentence = resize_to, route_by_sentence
        self.in_channels, self.out_channels = tuple(in_channels), (channels, )
        norm_cfg = dict(type='BN')
        self.mixtures = nn.ModuleList()
        if experts:
            for i, width in enumerate(in_channels):
                modules = fusion_experts(width, num_heads, experts)
                router = Router(width, tuple(modules), f'fusion.{i}', router_channels, top_k, noise_std,
                                temperature, balancing_rate, sentence_channels if route_by_sentence else None)
                self.mixtures.append(ExpertMixture(modules, router))
        elif top_k is not None:
            raise InputError(f'top_k of SERAFusion is {top_k}, but it has no experts; it must be None')
        self.project = nn.ModuleList(ConvModule(width, channels, 1, norm_cfg=norm_cfg) for width in in_channels)
        self.gates = nn.ModuleList()
        self.sentence_channels = sentence_channels
        if sentence_channels is not None:
            self.project_sentence = nn.Linear(sentence_channels, channels)
            self.gates.extend(SentenceGate(channels) for _ in in_channels)
        self.reduce = ConvModule(len(in_channels) * channels, channels, 1, norm_cfg=norm_cfg)
        self.refine = nn.Sequential(
            CoordConv(channels, channels), ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg))

    def forward(self, maps: tuple[Tensor, ...], text: TextFeatures | None = None) -> tuple[Tensor]:
        """Fuse the backbone's maps and the sentence into one map.

        With ``resize_to`` the maps may differ in H and W; the output has the resolution of that map.

        Args:
            maps: one map (B, C_i, H, W) for each of ``in_channels``. With ``resize_to`` they may differ in H and W.
            text: text features; the sentence's are used. Default None: no gate is applied.

        Returns:
            One map (B, channels, H, W), of the resolution of map ``resize_to`` where that is set.

        Raises:
            InputError: there are more or fewer maps than ``in_channels`` has, or they differ in resolution and
                ``resize_to`` isn't set.
        """
        return self.forward_with_routing(maps, text)[0]

    def forward_with_routing(self,
                             maps: tuple[Tensor, ...],
                             text: TextFeatures | None = None) -> tuple[tuple[Tensor], tuple[RoutingInfo, ...]]:
        """As :meth:`forward`, together with what the routers decided.

        Args:
            maps: see :meth:`forward`.
            text: see :meth:`forward`. Default None.
        """
        maps, routing = self._look(maps, text)
        return self._gate_and_fuse(maps, text), routing

    def forward_image(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What sees no text: the experts and projections of the maps; nothing, where their routers see the sentence.

        Args:
            maps: see :meth:`forward`.
        """
        return tuple(maps) if self.route_by_sentence else self._look(maps)[0]

    def forward_text(self, shared: tuple[Tensor, ...], text: TextFeatures | None = None) -> tuple[Tensor]:
        """Continue where :meth:`forward_image` stopped; both together are :meth:`forward`.

        Args:
            shared: what that gave, one per expression.
            text: features of the expressions. Default None.
        """
        return self._gate_and_fuse(self._look(shared, text)[0] if self.route_by_sentence else shared, text)

    def _gate_and_fuse(self, shared: tuple[Tensor, ...], text: TextFeatures | None) -> tuple[Tensor]:
        if text is not None and len(self.gates):
            sentence = self.project_sentence(text.sentence)
            shared = [gate(x, sentence) for gate, x in zip(self.gates, shared, strict=True)]
        fused = self.reduce(torch.cat(tuple(shared), dim=1))
        return (fused + self.refine(fused), )

    def _look(self, maps: tuple[Tensor, ...],
              text: TextFeatures | None = None) -> tuple[tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
        """Experts and projections of the maps."""
        if len(maps) != len(self.project):
            raise InputError(f'the backbone gives {len(maps)} maps, but in_channels of SERAFusion has '
                             f'{len(self.project)} widths; it must have one for each map')
        maps, routing = self._at_one_resolution(maps), ()
        if self.mixtures:
            sentence = None if text is None else text.sentence
            mixed = (mixture(x, sentence) for mixture, x in zip(self.mixtures, maps, strict=True))
            maps, routing = zip(*mixed, strict=True)
        return tuple(project(x) for project, x in zip(self.project, maps, strict=True)), tuple(routing)

    def _at_one_resolution(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        sizes = [tuple(x.shape[-2:]) for x in maps]
        if len(set(sizes)) < 2:
            return maps
        if self.resize_to is None:
            raise InputError(f'the maps are {", ".join(f"{h}×{w}" for h, w in sizes)}, but must have one resolution: '
                             'set resize_to of SERAFusion to the index of the map that the others shall follow')
        # Antialiased, or a map that shrinks would be a few of its pixels; CPUs do that in float32 only.
        return tuple(
            F.interpolate(x.float(), sizes[self.resize_to], mode='bilinear', antialias=True).to(x.dtype) for x in maps)
