"""Weights of DINOv2 (arXiv 2304.07193) under the names that others give them."""
from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_Names = tuple[tuple[str, str], ...]

_OFFICIAL_TO_OURS: _Names = (
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

# Its files keep the names of version 4; a model in the memory of version 5 has the second name of each pair.
_TRANSFORMERS_TO_OFFICIAL: _Names = (
    (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
    (r'^embeddings\.position_embeddings$', 'pos_embed'),
    (r'^embeddings\.', ''),
    (r'^encoder\.layer\.', 'blocks.'),
    (r'^layernorm\.', 'norm.'),
    (r'\.attention\.(?:attention\.query|q_proj)\.', '.attn.q.'),
    (r'\.attention\.(?:attention\.key|k_proj)\.', '.attn.k.'),
    (r'\.attention\.(?:attention\.value|v_proj)\.', '.attn.v.'),
    (r'\.attention\.(?:output\.dense|o_proj)\.', '.attn.proj.'),
    (r'\.layer_scale([12])\.lambda1$', r'.ls\1.gamma'),
    (r'\.mlp\.weights_in\.', '.mlp.w12.'),
    (r'\.mlp\.gate_proj\.', '.mlp.w1.'),
    (r'\.mlp\.up_proj\.', '.mlp.w2.'),
    (r'\.mlp\.(?:weights_out|down_proj)\.', '.mlp.w3.'),
)

_TIMM_GATED_TO_OFFICIAL: _Names = ((r'\.mlp\.fc1\.', '.mlp.w12.'), (r'\.mlp\.fc2\.', '.mlp.w3.'))


def _renamed(state: Mapping[str, Tensor], names: _Names) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def _join(state: dict[str, Tensor], parts: tuple[str, ...], whole: str) -> None:
    """Stack the output rows of layers that are one layer in the official files, in the order given."""
    for first in [name for name in state if parts[0] in name]:
        names = [first.replace(parts[0], part) for part in parts]
        if all(name in state for name in names):
            state[first.replace(parts[0], whole)] = torch.cat([state.pop(name) for name in names])


def _from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    official = _renamed(state, _TRANSFORMERS_TO_OFFICIAL)
    _join(official, ('.attn.q.', '.attn.k.', '.attn.v.'), '.attn.qkv.')
    _join(official, ('.mlp.w1.', '.mlp.w2.'), '.mlp.w12.')
    return official


def _from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    official = dict(state)
    if 'reg_token' in state and 'pos_embed' in state:
        # The class token of timm's register models has its position embedding added already.
        official['register_tokens'] = official.pop('reg_token')
        positions = state['pos_embed']
        official['pos_embed'] = torch.cat((torch.zeros_like(positions[:, :1]), positions), dim=1)
    first, second = (state.get(f'blocks.0.mlp.{layer}.weight') for layer in ('fc1', 'fc2'))
    # A gated feed-forward part has the plain one's names; its first layer makes twice of what the second takes.
    if first is not None and second is not None and first.shape[0] == 2 * second.shape[1]:
        return _renamed(official, _TIMM_GATED_TO_OFFICIAL)
    return official


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the entries of an official ``dinov2_vit*14*_pretrain.pth`` to ours; the unused mask token is left out."""
    ours = _renamed(state, _OFFICIAL_TO_OURS)
    ours.pop('mask_token', None)
    return ours


def to_own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of DINOv2 to ours, whichever way they are named; the unused mask token is left out.

    Args:
        state: name → tensor, named as in the official files, as timm's models (``reg_token`` in those with registers)
            or as ``Dinov2Model`` and ``Dinov2WithRegistersModel`` of Hugging Face transformers (``embeddings.…``).

    Returns:
        Our name → tensor. Entries of unknown names keep theirs.
    """
    if 'embeddings.cls_token' in state:
        return from_official(_from_transformers(state))
    return from_official(_from_timm(state))
