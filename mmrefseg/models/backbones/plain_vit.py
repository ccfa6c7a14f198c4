"""Plain vision transformers with text-conditioned adapters and parameter-efficient tuning."""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import timm
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from timm.models.eva import Eva, EvaBlock
from timm.models.vision_transformer import Block, VisionTransformer
from timm.models.vision_transformer_hybrid import HybridEmbed
from torch import Tensor, nn

from mmrefseg.checkpoints.module_weights import load_weights
from mmrefseg.checkpoints.pretrained import require_weights
from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Count

from ..layers import RoutingInfo, TextFeatures, check_heads, check_setting, check_size, choose_blocks, is_whole
from ..layers.tuning import TunedEncoder
from .dinov2_weights import to_timm_names

# What forward does its own way, and what would read a file or a server while the model is built.
_FIXED = ('checkpoint_path', 'dynamic_img_size', 'features_only', 'global_pool', 'num_classes', 'patch_drop_rate',
          'pretrained', 'pretrained_cfg')
_STEM_GROUPS = 8
_HEADS = ('attn_pool.', 'fc_norm.', 'head.')


@MODELS.register_module()
class PlainViT(TunedEncoder, BaseModule):
    """Plain vision transformer of timm, with absolute or rotary position embedding, that gives maps.

    Among them are DINOv2 (arXiv 2304.07193) with and without registers (arXiv 2309.16588), DINOv3 (arXiv 2508.10104),
    and the vision towers of CLIP (arXiv 2103.00020) and SigLIP 2 (arXiv 2502.14786).

    Args:
        arch: name of a ``VisionTransformer`` or ``Eva`` of timm, such as ``vit_base_patch14_reg4_dinov2``,
            ``vit_base_patch16_dinov3``, ``vit_base_patch16_siglip_512`` or ``vit_base_patch16_clip_quickgelu_224``.
            Default ``vit_base_patch14_reg4_dinov2``.
        out_indices: 0-based blocks whose patch tokens leave as maps, negative ones counted from the end; the last
            block's pass the final norm. Blocks behind the last of them are left out. Default (-1, ).
        pos_embed_offset: added to the target size before the scale of a learned position embedding is computed, as
            DINOv2's models without registers (0.1), DETRIS and SERA do; 0 resizes to the exact size. Default 0.0.
        pos_embed_antialias: whether that resizing is antialiased, as in timm and the official register models.
            Default True.
        adapter: config of a registered adapter without ``dims`` and ``name``, and ``indices``, the 0-based blocks that
            get one. It returns what to add to the feed-forward output, and its routing or None. Default None: no
            adapters, and no text is taken.
        stem_channels: width of a convolution ahead of the patches, 7×7 with stride 2, group norm and ReLU, for models
            that are trained from scratch: edges are found across the borders of patches, too. ``patch_size`` must then
            be given, an even number of pixels, as without it. Default None: patches are linear, as those of all
            published weights.
        tuning: which pretrained parameters train: ``none``, ``norm_bias`` (norms and biases) or ``all``. Drop path and
            dropout in the pretrained blocks act with ``all`` only. Default ``all``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a file of timm's weights for ``arch``; for DINOv2
            also the official one, or one of Hugging Face transformers. None leaves random weights. Default None.
        settings: further ones of timm's model in the place of the architecture's, such as ``drop_path_rate``,
            ``depth``, or ``img_size``, the input size in pixels that a position embedding was trained for.

    Raises:
        InputError: timm has no such architecture or can't build it with the settings, ``img_size`` is not a multiple
            of the patch size, ``stem_channels`` is no multiple of 8 or ``patch_size`` beside it missing or odd,
            ``tuning`` is unknown, ``adapter`` or ``out_indices`` name blocks that the transformer doesn't have or name
            one twice, adapters lie behind the last map, or are to stand in blocks that don't norm the feed-forward
            part's input.
    """

    takes_any_setting = True  # timm's

    def __init__(self,
                 arch: str = 'vit_base_patch14_reg4_dinov2',
                 out_indices: Sequence[int] = (-1, ),
                 pos_embed_offset: float = 0.0,
                 pos_embed_antialias: bool = True,
                 adapter: dict | None = None,
                 stem_channels: Count | None = None,
                 tuning: str = 'all',
                 init_cfg: dict | None = None,
                 **settings: Any) -> None:
        super().__init__(init_cfg)
        if stem_channels is not None:
            settings = _with_stem(stem_channels, settings)
        self.tower = _build_tower(arch, settings)
        self.out_indices = choose_blocks('out_indices of PlainViT', out_indices, len(self.tower.blocks), from_end=True)
        check_setting('out_indices of PlainViT', out_indices, len(self.out_indices) > 0, 'at least one block')
        self.pos_embed_offset, self.pos_embed_antialias = pos_embed_offset, pos_embed_antialias
        self.patch_size = self.tower.patch_embed.feat_ratio()
        self.out_channels = (self.tower.embed_dim, ) * len(self.out_indices)
        self.adapters = self._build_adapters(dict(adapter or {}))
        self.takes_text = len(self.adapters) > 0
        self._left_out = _HEADS + self._leave_out_unused()
        self.set_tuning(tuning)

    def check_input_size(self, what: str, height: int, width: int) -> None:
        """Refuse images that patches do not fill.

        Args:
            what: what has the size.
            height: in pixels.
            width: in pixels.

        Raises:
            InputError: height or width is not a multiple of the patch size.
        """
        check_size(what, height, width, self.patch_size, 'the patch size of PlainViT')

    def _build_adapters(self, adapter: dict) -> nn.ModuleDict:
        setting, indices, tower = 'adapter.indices of PlainViT', adapter.pop('indices', ()), self.tower
        blocks, last = choose_blocks(setting, indices, len(tower.blocks)), max(self.out_indices)
        check_setting(setting, indices, all(i <= last for i in blocks),
                      f'blocks up to {last}: the last map (out_indices) leaves there, and nothing behind it acts')
        check_setting(setting, indices, all(isinstance(tower.blocks[i], Block | EvaBlock) for i in blocks),
                      f'(): an adapter takes the normed input of the MLP, which {type(tower.blocks[0]).__name__} lacks')
        return nn.ModuleDict({
            str(i): MODELS.build(dict(adapter, dims=tower.embed_dim, name=f'adapter.{i}'))
            for i in blocks
        })

    def _leave_out_unused(self) -> tuple[str, ...]:
        """Remove what lies behind the last map, which no gradient would reach; what its weights' names begin with."""
        last, num_blocks = max(self.out_indices), len(self.tower.blocks)
        self.tower.prune_intermediate_layers([last], prune_norm=last < num_blocks - 1)
        return (*(f'blocks.{i}.' for i in range(last + 1, num_blocks)), *(['norm.'] if last < num_blocks - 1 else ()))

    def new_parts(self) -> tuple[nn.Module, ...]:
        """The modules that no pretrained file holds."""
        return (self.adapters, )

    def init_weights(self) -> None:
        """Load pretrained weights, completely or not at all; without ``init_cfg``, leave those drawn at random.

        Raises:
            MissingInputError: there is no such file.
            InputError: the file holds another architecture.
        """
        if self.init_cfg is None:
            return
        path = self.init_cfg['checkpoint']
        require_weights(path, type(self).__name__)
        state = to_timm_names(CheckpointLoader.load_checkpoint(path, map_location='cpu'))
        load_weights(self.tower, {name: value for name, value in state.items() if not name.startswith(self._left_out)},
                     source=path)

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """Compute the maps of images, conditioned on text where adapters take it.

        Args:
            x: normalised images (B, 3, H, W), H and W multiples of the patch size.
            text: text features for the adapters. Default None: adapters that attend to words cannot be used.

        Returns:
            One map (B, C, H / patch, W / patch) for each of ``out_indices``.
        """
        return self.forward_with_routing(x, text)[0]

    def forward_with_routing(self,
                             x: Tensor,
                             text: TextFeatures | None = None) -> tuple[tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
        """As :meth:`forward`, together with what the adapters' routers decided.

        Args:
            x: see :meth:`forward`.
            text: see :meth:`forward`. Default None.
        """
        x, grid_size = self._embed(x)
        _, maps, routing = self._run_blocks(x, grid_size, range(len(self.tower.blocks)), text)
        return maps, routing

    def forward_image(self, x: Tensor) -> tuple[Tensor, ...]:
        """What is ahead of the first adapter, and so sees no text.

        Args:
            x: (I, 3, H, W).

        Returns:
            Special tokens (I, S, C), patch tokens (I, C, H / patch, W / patch), and the maps that leave up to there.
        """
        x, grid_size = self._embed(x)
        x, maps, _ = self._run_blocks(x, grid_size, range(self._first_adapted))
        return x[:, :self.tower.num_prefix_tokens], self._as_map(x, grid_size), *maps

    def forward_text(self, shared: tuple[Tensor, ...], text: TextFeatures) -> tuple[Tensor, ...]:
        """Continue where :meth:`forward_image` stopped; both together are :meth:`forward`.

        Args:
            shared: what that gave, one per expression.
            text: features of the expressions.
        """
        return self.forward_text_with_routing(shared, text)[0]

    def forward_text_with_routing(self, shared: tuple[Tensor, ...],
                                  text: TextFeatures) -> tuple[tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
        """As :meth:`forward_text`, together with what the adapters' routers decided.

        Args:
            shared: see :meth:`forward_text`.
            text: see :meth:`forward_text`.
        """
        special, patches, *maps = shared
        x = torch.cat((special, patches.flatten(2).transpose(1, 2)), dim=1)
        later = range(self._first_adapted, len(self.tower.blocks))
        _, later_maps, routing = self._run_blocks(x, tuple(patches.shape[2:]), later, text)
        return (*maps, *later_maps), routing

    @property
    def _first_adapted(self) -> int:
        return min([*map(int, self.adapters), len(self.tower.blocks)])  # without default=, which breaks graphs

    def _run_blocks(self, x: Tensor, grid_size: tuple[int, int], indices: range, text: TextFeatures | None = None
                    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
        """Run some blocks: the tokens behind them, the maps that leave there, and what their routers decided."""
        tower, rotary = self.tower, self._rotary(grid_size)
        maps, routing = [], []
        for i in indices:
            block = tower.blocks[i]
            if str(i) in self.adapters:
                x, info = _run_adapted(block, self.adapters[str(i)], x, text, grid_size, rotary[i])
                routing += [info] if info else []
            else:
                x = block(x, **rotary[i])
            if i in self.out_indices:
                maps.append(self._as_map(tower.norm(x) if i == len(tower.blocks) - 1 else x, grid_size))
        return x, tuple(maps), tuple(routing)

    def _as_map(self, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Patch tokens of (B, S + N, C) as (B, C, H, W)."""
        return tokens[:, self.tower.num_prefix_tokens:].transpose(1, 2).unflatten(2, grid_size)

    def _embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Images (B, 3, H, W) → tokens (B, S + N, C), S special ones first, and the size of the grid of N patches."""
        self.check_input_size("the input, whose size the data's pipeline sets (Letterbox),", *x.shape[2:])
        tower = self.tower
        x = tower.patch_embed(x)
        grid_size = tuple(x.shape[1:3])
        special = [token for token in (tower.cls_token, tower.reg_token) if token is not None]
        x = torch.cat((*(token.expand(x.shape[0], -1, -1) for token in special), x.flatten(1, 2)), dim=1)
        if tower.pos_embed is not None:
            x = x + self._positions(grid_size)
        return tower.norm_pre(tower.pos_drop(x)), grid_size

    def _positions(self, grid_size: tuple[int, int]) -> Tensor:
        """The learned position embedding (1, S + H·W, C) for S special tokens and a grid of H × W patches."""
        tower, trained = self.tower, self.tower.patch_embed.grid_size
        num_embedded = 0 if tower.no_embed_class else tower.num_prefix_tokens
        special, patches = tower.pos_embed[:, :num_embedded], tower.pos_embed[:, num_embedded:]
        if grid_size != tuple(trained):
            target = dict(size=grid_size)
            if self.pos_embed_offset:
                target = dict(scale_factor=[(new + self.pos_embed_offset) / old for new, old in zip(
                    grid_size, trained, strict=True)])
            grid = patches.float().transpose(1, 2).unflatten(2, trained)
            grid = F.interpolate(grid, mode='bicubic', antialias=self.pos_embed_antialias, **target)
            patches = grid.flatten(2).transpose(1, 2).to(patches.dtype)
        none = patches.new_zeros(1, tower.num_prefix_tokens - num_embedded, patches.shape[2])
        return torch.cat((special, none, patches), dim=1)

    def _rotary(self, grid_size: tuple[int, int]) -> list[dict[str, Tensor]]:
        """What each block takes beside the tokens: the rotary position embedding, if the transformer has one."""
        num_blocks, rope = len(self.tower.blocks), getattr(self.tower, 'rope', None)
        if rope is None:
            return [{}] * num_blocks
        embedding = rope.get_embed(shape=grid_size)
        return [dict(rope=embedding[i] if self.tower.rope_mixed else embedding) for i in range(num_blocks)]


def _with_stem(channels: int, settings: dict) -> dict:
    """timm's settings with a convolution ahead of the patches, which are of the same size on the image as before."""
    check_setting('stem_channels of PlainViT', channels, channels % _STEM_GROUPS == 0, f'a multiple of {_STEM_GROUPS}')
    size = settings.get('patch_size')
    check_setting('patch_size of PlainViT with stem_channels', size, is_whole(size, 2) and size % 2 == 0,
                  'an even number of pixels')
    stem = nn.Sequential(
        nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.GroupNorm(_STEM_GROUPS, channels), nn.ReLU(inplace=True))
    return dict(settings, patch_size=size // 2, embed_layer=partial(HybridEmbed, stem))


def _build_tower(arch: str, settings: dict) -> VisionTransformer | Eva:
    """timm's model without pooling and classifier, for images of any size."""
    if foreign := sorted(settings.keys() & set(_FIXED)):
        raise InputError(f'PlainViT has no setting {", ".join(foreign)}; `init_cfg` names the weights, `out_indices` '
                         'which maps leave')
    check_setting('arch of PlainViT', arch, isinstance(arch, str) and timm.is_model(arch),
                  "the name of a vision transformer in timm, such as 'vit_base_patch14_reg4_dinov2' or "
                  "'vit_base_patch16_dinov3'; timm.list_models('vit_*') lists them")
    try:
        tower = timm.create_model(arch, num_classes=0, dynamic_img_size=True, **settings)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f'arch of PlainViT is {arch!r}, which timm cannot build for images of any size with the '
                         f'settings {settings}: {error}') from error
    check_setting('arch of PlainViT', arch, type(tower) in (VisionTransformer, Eva),
                  f'a VisionTransformer or Eva of timm, which {type(tower).__name__} is not')
    check_size('img_size of PlainViT', *tower.patch_embed.img_size, tower.patch_embed.feat_ratio(),
               'the patch size of PlainViT')
    if isinstance(tower, Eva):  # the other class looks itself
        check_heads('num_heads of PlainViT', tower.blocks[0].attn.num_heads, tower.embed_dim)
    return tower


def _run_adapted(block: Block | EvaBlock, adapter: nn.Module, x: Tensor, text: TextFeatures | None,
                 grid_size: tuple[int, int], rotary: dict[str, Tensor]) -> tuple[Tensor, RoutingInfo | None]:
    """Run a block with an adapter in parallel to its MLP, on the same normed input and ahead of the layer scale."""
    x = x + block.drop_path1(_scaled(block, 1, block.attn(block.norm1(x), **rotary)))
    normed = block.norm2(x)
    adapted, routing = adapter(normed, text, grid_size)
    return x + block.drop_path2(_scaled(block, 2, block.mlp(normed) + adapted)), routing


def _scaled(block: Block | EvaBlock, part: int, x: Tensor) -> Tensor:
    """Apply the layer scale of a block's part 1 or 2: a module in one kind, a parameter or None in the other."""
    if isinstance(block, Block):
        return getattr(block, f'ls{part}')(x)
    gamma = getattr(block, f'gamma_{part}')
    return x if gamma is None else gamma * x
