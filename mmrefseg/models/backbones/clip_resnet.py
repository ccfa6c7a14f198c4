"""CLIP's ResNets, whose attention pool gives a map instead of one vector."""
from __future__ import annotations

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from torch import Tensor, nn

from mmrefseg.checkpoints.clip import find_clip_config, read_clip_weights
from mmrefseg.checkpoints.module_weights import load_weights
from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS

from ..layers import check_setting, check_size, is_whole
from ..layers.tuning import TunedEncoder


@MODELS.register_module()
class CLIPResNet(TunedEncoder, BaseModule):
    """ResNet of CLIP (arXiv 2103.00020) as open_clip builds it, with the dense output that CRIS takes from it.

    Three maps leave it: those of the second and the third stage, at strides 8 and 16, and at stride 32 what CRIS
    (arXiv 2111.15174) makes of the attention pool. There, each position attends to all others instead of one mean to
    them, with the position embedding resized to the map; a 1×1 convolution with BN of the last stage is added, and
    ReLU follows.

    Args:
        arch: an open_clip architecture with a ResNet, such as ``RN50-quickgelu`` or ``RN101-quickgelu``, or a dict in
            open_clip's own form: ``embed_dim``, the channels of the last map, and ``vision_cfg`` with four ``layers``,
            ``width``, ``image_size`` (a multiple of 32, that of the position embedding) and optionally ``head_width``.
            Text and activation in there have no effect. Default ``RN101-quickgelu``.
        tuning: which pretrained parameters train: ``none``, ``norm_bias`` (all biases; there is no LayerNorm) or
            ``all``. Batch statistics are taken with ``all`` only. Default ``all``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a local file of CLIP's weights, both towers
            together, or a pretrained tag of open_clip (``openai``); None leaves random weights. Default None.

    Raises:
        InputError: ``arch`` is unknown, has no ResNet or a ``head_width`` that does not fit, or ``tuning`` is unknown.
    """

    def __init__(self,
                 arch: str | dict = 'RN101-quickgelu',
                 tuning: str = 'all',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.arch = arch
        config = find_clip_config(arch, 'embed_dim', 'vision_cfg')
        vision = dict(config['vision_cfg'])
        layers = vision.get('layers')
        if not isinstance(layers, list | tuple) or len(layers) != 4 or vision.get('timm_model_name') is not None:
            raise InputError(f"{arch!r} has no ResNet; choose an architecture such as 'RN50-quickgelu', or a dict with "
                             'four layers in vision_cfg')
        sizes = CLIPVisionCfg(**vision)
        check_setting('arch.vision_cfg.head_width of CLIPResNet', sizes.head_width,
                      is_whole(sizes.head_width, 1) and 32 * sizes.width % sizes.head_width == 0,
                      f'a whole number that divides the {32 * sizes.width} channels of the attention pool')
        self.tower = _build_vision_tower(config['embed_dim'], vision)
        project = self.tower.attnpool.c_proj
        self.connect = ConvModule(
            project.in_features, project.out_features, 1, norm_cfg=dict(type='BN'), act_cfg=None)
        coarsest = project.in_features
        self.out_channels = (coarsest // 4, coarsest // 2, project.out_features)
        self.set_tuning(tuning)

    def new_parts(self) -> tuple[nn.Module, ...]:
        """The modules that no pretrained file holds."""
        return (self.connect, )

    @staticmethod
    def check_input_size(what: str, height: int, width: int) -> None:
        """Refuse images whose last rows or columns would be on no position of the coarsest map.

        Args:
            what: what has the size.
            height: in pixels.
            width: in pixels.

        Raises:
            InputError: height or width is not a multiple of 32.
        """
        check_size(what, height, width, 32, 'the coarsest stride of CLIPResNet')

    def init_weights(self) -> None:
        """Load the pretrained tower, completely or not at all.

        Raises:
            MissingInputError: there is no such file.
            InputError: the file's visual tower is of another architecture.
        """
        if self.init_cfg is None:
            return
        state, path = read_clip_weights(self.arch, self.init_cfg['checkpoint'])
        prefix = 'visual.'
        visual = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        load_weights(self.tower, visual, source=path)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute three maps of images.

        Args:
            x: normalised images (B, 3, H, W).

        Returns:
            (B, 8·width, H / 8, W / 8), (B, 16·width, H / 16, W / 16) and (B, embed_dim, H / 32, W / 32).
        """
        tower = self.tower
        x8 = tower.layer2(tower.layer1(tower.stem(x)))
        x16 = tower.layer3(x8)
        x32 = tower.layer4(x16)
        return x8, x16, F.relu(self._attend(x32) + self.connect(x32))

    def _attend(self, x: Tensor) -> Tensor:
        """The attention pool's output at every position: (B, C, H, W) → (B, embed_dim, H, W)."""
        pool, size = self.tower.attnpool, x.shape[-2:]
        x = (x + self._positions(size).to(x.dtype)).flatten(2).transpose(1, 2)
        query, key, value = (
            project(x).unflatten(2, (pool.num_heads, -1)).transpose(1, 2)
            for project in (pool.q_proj, pool.k_proj, pool.v_proj))
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return pool.c_proj(attended).transpose(1, 2).unflatten(2, size)

    def _positions(self, size: tuple[int, int]) -> Tensor:
        """The position embedding, but for that of the mean, for a map of ``size``: (1, C, H, W)."""
        positions = self.tower.attnpool.positional_embedding[1:]
        side = round(len(positions)**0.5)
        grid = positions.float().t().unflatten(1, (side, side))[None]
        return grid if tuple(size) == (side, side) else F.interpolate(grid, tuple(size), mode='bicubic')
