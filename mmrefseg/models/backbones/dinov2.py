"""DINOv2 with registers, text-conditioned adapters and parameter-efficient tuning."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import to_2tuple
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from mmrefseg.checkpoints.pretrained import require_weights
from mmrefseg.checkpoints.weights import load_weights
from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS

from ..layers import RoutingInfo, TextFeatures, check_heads, check_setting, check_size, choose_blocks, is_whole
from ..layers.tuning import TunedEncoder
from .dinov2_weights import to_own_names

_SIZES = ('embed_dims', 'num_layers', 'num_heads', 'feedforward_channels')
# What forward does its own way, and tuning in the place of frozen_stages.
_FIXED = ('final_norm', 'frozen_stages', 'interpolate_mode', 'out_type', 'pre_norm', 'with_cls_token')


@MODELS.register_module()
class DINOv2(TunedEncoder, VisionTransformer):
    """DINOv2 (arXiv 2304.07193) with registers (arXiv 2309.16588), on mmpretrain's VisionTransformer.

    Args:
        arch: ``small``, ``base``, ``large`` or ``giant``, or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and ``feedforward_channels``. Default ``base``.
        img_size: input size in pixels that the position embedding was trained for, one number or height and width;
            multiples of ``patch_size``. Default 518.
        patch_size: side of a patch in pixels. Default 14.
        num_registers: register tokens. Default 4.
        out_indices: 0-based blocks whose patch tokens leave as maps, negative ones counted from the end; the last
            block's pass the final norm. Blocks behind the last of them neither run nor train. Default (11, ).
        pos_embed_offset: added to the target size before the position embedding's scale is computed, as DINOv2's
            models without registers, DETRIS and SERA do; 0 resizes to the exact size. Default 0.1.
        pos_embed_antialias: whether that resizing is antialiased, as the official register models do.
            Default False.
        layer_scale_init_value: initial layer scale; 0 for none. Default 1.
        adapter: config of a registered adapter without ``dims`` and ``name``, and ``indices``, the 0-based blocks that
            get one. It returns what to add to the feed-forward output, and its routing or None. Default None: no
            adapters, and no text is taken.
        tuning: which pretrained parameters train: ``none``, ``norm_bias`` (LayerNorm and biases) or ``all``. Drop path
            and dropout in the pretrained blocks act with ``all`` only. Default ``all``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a file of DINOv2 weights: the official one, or one
            named as timm or Hugging Face transformers name them. None leaves random weights. Default None.
        kwargs: the rest goes to mmpretrain's VisionTransformer, such as ``drop_path_rate``, or
            ``layer_cfgs=dict(ffn_type='swiglu_fused')`` for the gated feed-forward part that ``giant`` has.

    Raises:
        InputError: a setting of mmpretrain's VisionTransformer has no meaning here, ``arch`` or ``tuning`` is unknown,
            ``num_heads`` doesn't divide the width, ``img_size`` is not a multiple of ``patch_size``, ``num_registers``
            is negative, ``adapter`` or ``out_indices`` name blocks that the backbone doesn't have or name one twice, or
            adapters lie behind the last map.
    """

    ARCHS = dict(small='dinov2-small', base='base', large='large', giant='dinov2-giant')

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | Sequence[int] = 518,
                 patch_size: int = 14,
                 num_registers: int = 4,
                 out_indices: Sequence[int] = (11, ),
                 pos_embed_offset: float = 0.1,
                 pos_embed_antialias: bool = False,
                 layer_scale_init_value: float = 1.0,
                 adapter: dict | None = None,
                 tuning: str = 'all',
                 init_cfg: dict | None = None,
                 **kwargs) -> None:
        if foreign := sorted(kwargs.keys() & set(_FIXED)):
            raise InputError(f'DINOv2 has no setting {", ".join(foreign)}; `tuning` says what is frozen, `out_indices` '
                             'which maps leave')
        if arch == 'giant':
            kwargs.setdefault('layer_cfgs', dict(ffn_type='swiglu_fused'))
        arch = self._find_arch(arch)
        for setting, value, least in (('num_registers', num_registers, 0), ('patch_size', patch_size, 1)):
            check_setting(f'{setting} of DINOv2', value, is_whole(value, least), f'a whole number, {least} or larger')
        blocks = choose_blocks('out_indices of DINOv2', out_indices, arch['num_layers'], from_end=True)
        check_setting('out_indices of DINOv2', out_indices, len(blocks) > 0, 'at least one block')
        check_size('img_size of DINOv2', *to_2tuple(img_size), patch_size, 'the patch_size of DINOv2')
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=blocks,
            out_type='featmap',
            layer_scale_init_value=layer_scale_init_value,
            init_cfg=init_cfg,
            **kwargs)
        for module in self.modules():
            if isinstance(module, DropPath):
                module.drop_prob = float(module.drop_prob)  # torch.compile can't branch on mmpretrain's numpy number
        self.patch_size, self.out_channels = patch_size, (self.embed_dims, ) * len(blocks)
        self.pos_embed_offset, self.pos_embed_antialias = pos_embed_offset, pos_embed_antialias
        self.register_tokens = nn.Parameter(torch.zeros(1, num_registers, self.embed_dims)) if num_registers else None
        self.adapters = self._build_adapters(dict(adapter or {}))
        self.takes_text = len(self.adapters) > 0
        self.set_tuning(tuning)
        for module in self._unused_parts():
            module.requires_grad_(False)

    @classmethod
    def _find_arch(cls, arch: str | dict) -> dict:
        sizes = arch if isinstance(arch, dict) else cls.arch_zoo.get(cls.ARCHS.get(arch), {})
        check_setting('arch of DINOv2', arch, set(_SIZES) <= sizes.keys(),
                      f'one of {", ".join(cls.ARCHS)}, or a dict of {", ".join(_SIZES)}')
        check_heads('arch.num_heads of DINOv2', sizes['num_heads'], sizes['embed_dims'])
        return sizes

    def check_input_size(self, what: str, height: int, width: int) -> None:
        """Refuse images that patches do not fill.

        Args:
            what: what has the size.
            height: in pixels.
            width: in pixels.

        Raises:
            InputError: height or width is not a multiple of ``patch_size``.
        """
        check_size(what, height, width, self.patch_size, 'the patch_size of DINOv2')

    def _build_adapters(self, adapter: dict) -> nn.ModuleDict:
        setting, indices = 'adapter.indices of DINOv2', adapter.pop('indices', ())
        blocks, last = choose_blocks(setting, indices, self.num_layers), max(self.out_indices)
        check_setting(setting, indices, all(i <= last for i in blocks),
                      f'blocks up to {last}: the last map (out_indices) leaves there, and nothing behind it acts')
        return nn.ModuleDict({
            str(i): MODELS.build(dict(adapter, dims=self.embed_dims, name=f'adapter.{i}'))
            for i in blocks
        })

    def _unused_parts(self) -> tuple[nn.Module, ...]:
        """What lies behind the last map: no gradient reaches it, which DDP would wait for."""
        last = max(self.out_indices)
        return (*self.layers[last + 1:], *([self.ln1] if last < self.num_layers - 1 else ()))

    def new_parts(self) -> tuple[nn.Module, ...]:
        """The modules that no pretrained file holds."""
        return (self.adapters, )

    def init_weights(self) -> None:
        """Load the official weights, completely or not at all; without ``init_cfg``, initialise at random.

        Raises:
            MissingInputError: there is no such file.
            InputError: the file holds another architecture.
        """
        if self.init_cfg is None:
            super().init_weights()
            nn.init.normal_(self.cls_token, std=1e-6)
            if self.register_tokens is not None:
                nn.init.normal_(self.register_tokens, std=1e-6)
            return
        path = self.init_cfg['checkpoint']
        require_weights(path, type(self).__name__)
        state = to_own_names(CheckpointLoader.load_checkpoint(path, map_location='cpu'))
        adapters = {f'adapters.{name}': value for name, value in self.adapters.state_dict().items()}
        load_weights(self, {**state, **adapters}, source=path)

    def _prepare_pos_embed(self, *args: object) -> None:
        """Load the position embedding as it is: ``forward`` resizes it, and another size is another architecture."""

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) → one map (B, C, H / patch, W / patch) for each of ``out_indices``."""
        return self.forward_with_routing(x, text)[0]

    def forward_with_routing(self,
                             x: Tensor,
                             text: TextFeatures | None = None) -> tuple[tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
        """As :meth:`forward`, with what the adapters' routers decided."""
        self.check_input_size("the input, whose size the data's pipeline sets (Letterbox),", *x.shape[2:])
        x, grid_size = self.patch_embed(x)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1) + self._resized_pos_embed(grid_size)
        num_special = 1
        if self.register_tokens is not None:
            num_special += self.register_tokens.shape[1]
            x = torch.cat((x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]), dim=1)
        x = self.drop_after_pos(x)
        maps, routing = [], []
        for i in range(max(self.out_indices) + 1):
            layer = self.layers[i]
            x = x + layer.attn(layer.ln1(x))
            normed = layer.ln2(x)
            x = layer.ffn(normed, identity=x)
            if str(i) in self.adapters:
                adapted, info = self.adapters[str(i)](normed, text, grid_size)
                x = x + layer.ffn.gamma2(adapted)
                routing += [info] if info else []
            if i in self.out_indices:
                tokens = self.ln1(x) if i == self.num_layers - 1 else x
                maps.append(tokens[:, num_special:].transpose(1, 2).unflatten(2, grid_size))
        return tuple(maps), tuple(routing)

    def _resized_pos_embed(self, grid_size: tuple[int, int]) -> Tensor:
        """The position embedding (1, 1 + H·W, C) for a grid of H × W patches."""
        trained = self.patch_resolution
        if tuple(grid_size) == tuple(trained):
            return self.pos_embed
        patches = self.pos_embed[:, 1:].float().transpose(1, 2).unflatten(2, trained)
        if self.pos_embed_offset:
            target = dict(scale_factor=[(new + self.pos_embed_offset) / old for new, old in zip(
                grid_size, trained, strict=True)])
        else:
            target = dict(size=tuple(grid_size))
        patches = F.interpolate(patches, mode='bicubic', antialias=self.pos_embed_antialias, **target)
        return torch.cat((self.pos_embed[:, :1], patches.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)), dim=1)
