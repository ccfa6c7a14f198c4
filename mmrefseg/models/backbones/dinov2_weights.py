"""Weights of DINOv2 (arXiv 2304.07193): from the names that others give them to those of timm."""
from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_Names = tuple[tuple[str, str], ...]

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

_OFFICIAL_TO_TIMM: _Names = ((r'\.mlp\.w12\.', '.mlp.fc1.'), (r'\.mlp\.w3\.', '.mlp.fc2.'))


def _renamed(state: Mapping[str, Tensor], names: _Names) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        new = str(name)
        for pattern, replacement in names:
            new = re.sub(pattern, replacement, new)
        renamed[new] = value
    return renamed


def _are_tensors(*values: object) -> bool:
    return all(isinstance(value, Tensor) and value.ndim > 0 for value in values)


def _join(state: dict[str, Tensor], parts: tuple[str, ...], whole: str) -> None:
    """Stack the output rows of layers that are one layer in the official files, in the order given, where they fit."""
    for first in [name for name in state if parts[0] in name]:
        names = [first.replace(parts[0], part) for part in parts]
        values = [state.get(name) for name in names]
        if _are_tensors(*values) and len({value.shape for value in values}) == 1:
            state[first.replace(parts[0], whole)] = torch.cat(values)
            for name in names:
                del state[name]


def _from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    official = _renamed(state, _TRANSFORMERS_TO_OFFICIAL)
    _join(official, ('.attn.q.', '.attn.k.', '.attn.v.'), '.attn.qkv.')
    _join(official, ('.mlp.w1.', '.mlp.w2.'), '.mlp.w12.')
    return official


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the entries of an official ``dinov2_vit*14*_pretrain.pth`` to timm's; the unused mask token is left out.

    In timm's register models, the class token has its position embedding added already.

    Args:
        state: name → tensor, as the file has them.
    """
    timm = _renamed(state, _OFFICIAL_TO_TIMM)
    timm.pop('mask_token', None)
    if 'register_tokens' in timm:
        timm['reg_token'] = timm.pop('register_tokens')
        token, positions = timm.get('cls_token'), timm.get('pos_embed')
        if _are_tensors(token, positions) and positions.ndim == 3 and token.shape == positions[:, :1].shape:
            timm['cls_token'], timm['pos_embed'] = token + positions[:, :1], positions[:, 1:]
    return timm


def to_timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of DINOv2 to timm's, whichever way they are named.

    Args:
        state: name → tensor, named as in the official files, as timm's models or as ``Dinov2Model`` and
            ``Dinov2WithRegistersModel`` of Hugging Face transformers (``embeddings.…``).

    Returns:
        timm's name → tensor, without the unused mask token. Entries of unknown names keep theirs.
    """
    return from_official(_from_transformers(state) if 'embeddings.cls_token' in state else state)
