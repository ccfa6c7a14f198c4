"""Bottleneck adapters that run in parallel to the feed-forward part of a frozen transformer block."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Count, Finite, Share

from .experts import AdapterBoundaryExpert, AdapterSpatialExpert
from .initialization import zeroed
from .routing import ExpertMixture, Router, RoutingInfo, choose_experts
from .setting_checks import check_heads, check_multiple
from .text_features import TextFeatures


class MultiScaleBranches(nn.Module):
    """1×1, 3×3 and 5×5 branches side by side, concatenated to as many channels as came in.

    The widths are those of DETRIS's aligner (arXiv 2501.08580): a half, a quarter and a quarter of the channels,
    the larger kernels behind a reduction to a sixteenth. Every convolution has BN (eps 1e-3) and ReLU.

    Args:
        channels: channels in and out, a multiple of 16.
        dims: 1 for sequences (B, C, L), 2 for maps (B, C, H, W). Default 2.
        dense: whether a branch also sees the outputs of those before it (DETRIS). Default False (SERA).
    """

    def __init__(self, channels: int, dims: int = 2, dense: bool = False) -> None:
        super().__init__()
        self.dense = dense
        half, quarter, reduced = channels // 2, channels // 4, channels // 16
        seen = (channels, channels + half, channels + half + quarter) if dense else (channels, ) * 3
        self.branch1 = self._conv(seen[0], half, 1, dims)
        self.branch2 = nn.Sequential(self._conv(seen[1], reduced, 1, dims), self._conv(reduced, quarter, 3, dims))
        self.branch3 = nn.Sequential(self._conv(seen[2], reduced, 1, dims), self._conv(reduced, quarter, 5, dims))

    @staticmethod
    def _conv(in_channels: int, out_channels: int, kernel_size: int, dims: int) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            conv_cfg=dict(type=f'Conv{dims}d'),
            norm_cfg=dict(type=f'BN{dims}d', eps=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate what the three branches see.

        Args:
            x: (B, C, ...), a sequence or a map.

        Returns:
            (B, C, ...).
        """
        outputs: list[Tensor] = []
        for branch in (self.branch1, self.branch2, self.branch3):
            outputs.append(branch(torch.cat((x, *outputs), dim=1) if self.dense else x))
        return torch.cat(outputs, dim=1)


class TextAdapter(nn.Module):
    """Adapter of a text block: dense 1D branches over the words behind the first token (arXiv 2501.08580).

    Args:
        dims: width of the block.
        channels: width of the bottleneck, a multiple of 16. Default 64.
        scale: weight of the adapter in the block. Default 0.2.

    Raises:
        InputError: ``channels`` is not a multiple of 16.
    """

    def __init__(self, dims: int, channels: int = 64, scale: float = 0.2) -> None:
        super().__init__()
        check_multiple('channels of TextAdapter', channels, 16)
        self.scale = scale
        self.down = nn.Linear(dims, channels)
        self.branches = MultiScaleBranches(channels, dims=1, dense=True)
        self.up = zeroed(nn.Linear(channels, dims))

    def forward(self, x: Tensor) -> Tensor:
        """Compute what is to be added to the block's output.

        Args:
            x: tokens (B, L, C), the start token first.

        Returns:
            (B, L, C).
        """
        z = self.down(x).relu()
        words = self.branches(z[:, 1:].transpose(1, 2)).transpose(1, 2)
        return self.scale * self.up(z + torch.cat((z[:, :1], words.to(z.dtype)), dim=1))


class WordAttention(nn.Module):
    """Cross-attention from positions to words, in a width of its own.

    Args:
        channels: channels of the queries and of the output.
        text_channels: channels of the word features.
        num_heads: attention heads. Default 8.
        dropout: dropout of the attention weights. Default 0.1.
        mask_padding: whether padding is masked out (DETRIS attends to it). Default True.
        attention_channels: width of the attention; None for that of the queries. Default None.
    """

    def __init__(self,
                 channels: int,
                 text_channels: int,
                 num_heads: int = 8,
                 dropout: float = 0.1,
                 mask_padding: bool = True,
                 attention_channels: int | None = None) -> None:
        super().__init__()
        self.mask_padding = mask_padding
        width = attention_channels or channels
        self.query = nn.Linear(channels, width)
        self.words = nn.Linear(text_channels, width)
        self.attention = nn.MultiheadAttention(width, num_heads, dropout, batch_first=True)
        self.out = nn.Linear(width, channels)

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """Let positions attend to words.

        Args:
            x: queries (B, N, C).
            text: features of the words.

        Returns:
            (B, N, C).
        """
        words = self.words(text.tokens)
        padding = ~text.mask if self.mask_padding else None
        attended = self.attention(self.query(x), words, words, key_padding_mask=padding, need_weights=False)[0]
        return self.out(attended)


@MODELS.register_module()
class DETRISAdapter(nn.Module):
    """Dense aligner of DETRIS (arXiv 2501.08580): dense multi-scale branches, then attention to the words.

    ``adapter(x) = scale · up([2·z_special, z_patch + words(branches(z_patch) + z_patch)])`` with ``z = ReLU(down(x))``.
    ``up`` starts at zero (the reference draws it at random), so that training starts from the pretrained backbone.

    Args:
        dims: width of the backbone.
        text_channels: channels of the word features. Default 512.
        channels: width of the bottleneck, a multiple of 16. Default 128.
        num_heads: heads of the cross-attention. Default 8.
        attention_channels: width of the cross-attention, a multiple of ``num_heads``; None for that of the bottleneck.
            Default None.
        dropout: dropout of the cross-attention's weights. Default 0.1.
        scale: weight of the adapter in the block. Default 0.2.
        mask_padding: whether padded words are masked out. Default False: DETRIS attends to them.
        dense: whether a branch also sees the outputs of those before it. Default True.
        name: the adapter's name. Default ``adapter``.

    Raises:
        InputError: ``channels`` is not a multiple of 16, or ``num_heads`` does not divide the width of the
            cross-attention.
    """

    def __init__(self,
                 dims: Count,
                 text_channels: Count = 512,
                 channels: int = 128,
                 num_heads: int = 8,
                 attention_channels: int | None = None,
                 dropout: Share = 0.1,
                 scale: Finite = 0.2,
                 mask_padding: bool = False,
                 dense: bool = True,
                 name: str = 'adapter') -> None:
        super().__init__()
        check_multiple(f'channels of {type(self).__name__}', channels, 16)
        check_heads(f'num_heads of {type(self).__name__}', num_heads, attention_channels or channels)
        self.scale, self.name, self.text_channels = scale, name, text_channels
        self.down = nn.Linear(dims, channels)
        self.branches = MultiScaleBranches(channels, dense=dense)
        self.attention = WordAttention(channels, text_channels, num_heads, dropout, mask_padding, attention_channels)
        self.up = zeroed(nn.Linear(channels, dims))

    def enrich(self, grid: Tensor) -> tuple[Tensor, RoutingInfo | None]:
        """Enrich the bottleneck's patch grid before it meets the words.

        Args:
            grid: (B, C, H, W).

        Returns:
            (B, C, H, W), and what a router decided, if any.
        """
        return self.branches(grid) + grid, None

    def forward(self, x: Tensor, text: TextFeatures, grid_size: tuple[int, int]) -> tuple[Tensor, RoutingInfo | None]:
        """Compute what the adapter adds to the tokens of a block.

        Args:
            x: normed tokens (B, S + H·W, C), S special ones first.
            text: the expressions.
            grid_size: (H, W) of the patch grid.

        Returns:
            What to add to the block's feed-forward output (B, S + H·W, C), and the routing, None without a router.
        """
        z = self.down(x).relu()
        num_special = x.shape[1] - grid_size[0] * grid_size[1]
        grid = z[:, num_special:].transpose(1, 2).unflatten(2, grid_size)
        enriched, routing = self.enrich(grid)
        words = self.attention(enriched.flatten(2).transpose(1, 2), text)
        return self.scale * self.up(z + torch.cat((z[:, :num_special], words.to(z.dtype)), dim=1)), routing


@MODELS.register_module()
class SERAAdapter(DETRISAdapter):
    """SERA-Adapter (arXiv 2603.12538): multi-scale enrichment, two routed experts, attention to the words.

    DETRIS's adapter with parallel instead of dense branches, and a routed mixture of a boundary and a spatial expert
    behind them.

    Args:
        dims: width of the backbone.
        channels: width of the bottleneck, a multiple of 16. Default 128.
        mask_padding: whether padded words are masked out (our reading; DETRIS attends to them). Default True.
        dense: whether a branch also sees the outputs of those before it. Default False.
        experts: which experts there are, at least one. Default ``('spatial', 'boundary')``.
        top_k: experts chosen per sample, 1 to their number; None for all of them, which is soft routing. Default None.
        temperature: the router's scores are divided by it ahead of the softmax (our reading). Default 1.
        balancing_rate: see :class:`Router` (our reading). Default 0.
        name: the router's name. Default ``adapter``.
        kwargs: as in :class:`DETRISAdapter`.

    Raises:
        InputError: an expert is unknown, there is none, or a setting of the router is out of range.
    """

    def __init__(self,
                 dims: Count,
                 channels: int = 128,
                 mask_padding: bool = True,
                 dense: bool = False,
                 experts: Sequence[str] = ('spatial', 'boundary'),
                 top_k: int | None = None,
                 temperature: float = 1.0,
                 balancing_rate: float = 0.0,
                 name: str = 'adapter',
                 **kwargs) -> None:
        super().__init__(dims, channels=channels, mask_padding=mask_padding, dense=dense, name=name, **kwargs)
        available = dict(
            spatial=partial(AdapterSpatialExpert, channels), boundary=partial(AdapterBoundaryExpert, channels))
        modules = choose_experts('experts of SERAAdapter', experts, available)
        router = Router(channels, tuple(modules), name, top_k=top_k, temperature=temperature,
                        balancing_rate=balancing_rate)
        self.mixture = ExpertMixture(modules, router)

    def enrich(self, grid: Tensor) -> tuple[Tensor, RoutingInfo]:
        """Enrich the grid (B, C, H, W) by the branches and the routed experts."""
        return self.mixture(super().enrich(grid)[0])
