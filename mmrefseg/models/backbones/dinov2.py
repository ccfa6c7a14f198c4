"""DINOv2 with registers, text-conditioned adapters and parameter-efficient tuning."""
from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.utils.checkpoint import load_weights

from ..layers import RoutingInfo, TextFeatures, apply_tuning, check_blocks

_OFFICIAL_NAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^blocks\.', 'layers.'),
    (r'\.norm([12])\.', r'.ln\1.'),
    (r'^norm\.', 'ln1.'),
    (r'\.ls1\.gamma$', '.attn.gamma1.weight'),
    (r'\.ls2\.gamma$', '.ffn.gamma2.weight'),
    (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
    (r'\.mlp\.(w12|w3)\.', r'.ffn.\1.'),
)


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the entries of an official ``dinov2_vit*14*_pretrain.pth`` to ours; the unused mask token is left out."""
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in _OFFICIAL_NAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    renamed.pop('mask_token', None)
    return renamed


@MODELS.register_module()
class DINOv2(VisionTransformer):
    """DINOv2 (arXiv 2304.07193) with registers (arXiv 2309.16588), on mmpretrain's VisionTransformer.

    Args:
        arch: ``small``, ``base``, ``large`` or ``giant``, or a dict of ``embed_dims``, ``num_layers``, ``num_heads``
            and ``feedforward_channels``. Default ``base``.
        img_size: input size in pixels that the position embedding was trained for. Default 518.
        patch_size: side of a patch in pixels. Default 14.
        num_registers: register tokens. Default 4.
        out_indices: 0-based blocks whose patch tokens leave as maps; the last block's pass the final norm.
            Default (11, ).
        pos_embed_offset: added to the target size before the position embedding's scale is computed, as DINOv2's
            models without registers, DETRIS and SERA do; 0 resizes to the exact size. Default 0.1.
        pos_embed_antialias: whether that resizing is antialiased, as the official register models do.
            Default False.
        layer_scale_init_value: initial layer scale; 0 for none. Default 1.
        adapter: config of a registered adapter without ``dims`` and ``name``, and ``indices``, the 0-based blocks that
            get one. It returns what to add to the feed-forward output, and its routing or None. Default None: no
            adapters, and no text is taken.
        tuning: which pretrained parameters train: ``none``, ``norm_bias`` (LayerNorm and biases) or ``all``.
            Default ``all``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with an official DINOv2 file; None leaves random weights.
            Default None.
        kwargs: the rest goes to mmpretrain's VisionTransformer.
    """

    ARCHS = dict(small='dinov2-small', base='base', large='large', giant='dinov2-giant')

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int = 518,
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
        if arch == 'giant':
            kwargs.setdefault('layer_cfgs', dict(ffn_type='swiglu_fused'))
        super().__init__(
            arch=self.ARCHS.get(arch, arch) if isinstance(arch, str) else arch,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=list(out_indices),
            out_type='featmap',
            layer_scale_init_value=layer_scale_init_value,
            init_cfg=init_cfg,
            **kwargs)
        self.pos_embed_offset, self.pos_embed_antialias = pos_embed_offset, pos_embed_antialias
        self.register_tokens = nn.Parameter(torch.zeros(1, num_registers, self.embed_dims))
        adapter = dict(adapter or {})
        indices = adapter.pop('indices', ())
        check_blocks('out_indices', self.out_indices, self.num_layers)
        check_blocks('adapter indices', indices, self.num_layers)
        self.adapters = nn.ModuleDict({
            str(i): MODELS.build(dict(adapter, dims=self.embed_dims, name=f'adapter.{i}'))
            for i in indices
        })
        self.takes_text = len(self.adapters) > 0
        apply_tuning(self, tuning, self.new_parts())

    def new_parts(self) -> tuple[nn.Module, ...]:
        """The modules that no pretrained file holds."""
        return (self.adapters, )

    def init_weights(self) -> None:
        """Load the official weights, completely or not at all; without ``init_cfg``, initialise at random.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds another architecture.
        """
        if self.init_cfg is None:
            super().init_weights()
            nn.init.normal_(self.cls_token, std=1e-6)
            nn.init.normal_(self.register_tokens, std=1e-6)
            return
        path = self.init_cfg['checkpoint']
        state = from_official(CheckpointLoader.load_checkpoint(path, map_location='cpu'))
        # a model without registers has none in its file either
        own = {name: value for name, value in self.state_dict().items()
               if name.startswith('adapters.') or not value.numel()}
        load_weights(self, {**state, **own}, source=path)

    def _prepare_pos_embed(self, *args: object) -> None:
        """Load the position embedding as it is: ``forward`` resizes it, and another size is another architecture."""

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """(B, 3, H, W) → one map (B, C, H / patch, W / patch) for each of ``out_indices``."""
        return self.forward_with_routing(x, text)[0]

    def forward_with_routing(self,
                             x: Tensor,
                             text: TextFeatures | None = None) -> tuple[tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
        """As :meth:`forward`, with what the adapters' routers decided."""
        x, grid_size = self.patch_embed(x)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1) + self._resized_pos_embed(grid_size)
        x = torch.cat((x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]), dim=1)
        x = self.drop_after_pos(x)
        num_special = 1 + self.register_tokens.shape[1]
        maps, routing = [], []
        for i, layer in enumerate(self.layers):
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
