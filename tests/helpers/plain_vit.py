"""Tiny plain vision transformers."""
from __future__ import annotations

from torch import nn

from mmrefseg.models import PlainViT

TINY = dict(arch='vit_base_patch14_reg4_dinov2', embed_dim=24, depth=3, num_heads=2, mlp_ratio=2.0, img_size=28)
DINOV3 = dict(arch='vit_base_patch16_dinov3', img_size=32)
ADAPTER = dict(type='SERAAdapter', indices=(0, 2), text_channels=12, channels=16, num_heads=2)


def make_tiny(**kwargs) -> PlainViT:
    """A backbone of three blocks for evaluation, no weight of which is left at zero or at a tiny layer scale."""
    backbone = PlainViT(**{**TINY, 'out_indices': (0, 2), **kwargs})
    for name, parameter in backbone.named_parameters():
        if 'gamma' in name or not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return backbone.eval()
