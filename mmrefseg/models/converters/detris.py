"""Weights of DETRIS (arXiv 2501.08580) as its authors publish them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..backbones.dinov2_weights import from_official
from .renaming import (
    CLIP_TEXT,
    REFINEMENT,
    Conversion,
    RenamingTable,
    convert_head,
    fold_biases,
    renamed,
    split_checkpoint,
    split_parts,
    take_out,
)

_PARTS = ('txt_backbone', 'dinov2', 'neck', 'decoder', 'proj')

_ADAPTER: RenamingTable = (
    (r'\.dense_branch', '.branches.branch'),
    (r'\.D_fc1\.', '.down.'),
    (r'\.D_fc2\.', '.up.'),
    (r'\.cross\.multihead_attn\.', '.attention.attention.'),
    (r'\.cross\.image_proj\.', '.attention.query.'),
    (r'\.cross\.text_proj\.', '.attention.words.'),
    (r'\.cross\.back_proj\.', '.attention.out.'),
)
_VISUAL_ADAPTER: RenamingTable = ((r'^blocks\.(\d+)\.adapter\.', r'adapters.\1.'), *_ADAPTER)
_NECK: RenamingTable = (
    *((rf'^fusion{level}\.multihead_attn\.', f'gates.{i}.') for i, level in enumerate((3, 4, 5))),
    *((rf'^f{level}_proj\.', f'project.{i}.') for i, level in enumerate((3, 4, 5))),
    (r'\.out_proj\.', '.out.'),
    (r'\.in_proj_', '.value.'),
    (r'^txt_proj\.', 'project_sentence.'),
    *REFINEMENT,
)


def _convert_neck(part: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The neck's weights, and the names of those whose first two thirds, queries and keys, are left out."""
    values, cut = dict(part), [name for name, value in part.items() if '.in_proj_' in name and value.ndim]
    for name in cut:
        values[name] = part[name][2 * len(part[name]) // 3:].clone()
    last = part.get('f5_proj.0.weight')
    if last is not None and last.ndim == 4:  # a transposed convolution of size 1 is a convolution
        values['f5_proj.0.weight'] = last.transpose(0, 1).contiguous()
    return renamed(values, _NECK, 'neck.'), cut


def convert_detris(checkpoint: Mapping[str, Any]) -> Conversion:
    """Convert a checkpoint of DETRIS's official code.

    Args:
        checkpoint: what the file holds: a state dict, with or without ``module.`` ahead of its names, or a training
            checkpoint with one as ``state_dict``.

    Returns:
        Weights for a model of ``configs/detris``, and what was left out.

    Raises:
        InputError: it is no checkpoint of DETRIS.
    """
    state, others = split_checkpoint(checkpoint)
    parts = split_parts(state, _PARTS, 'DETRIS')
    unused = take_out(parts, (('txt_backbone', 'logit_scale'), ('dinov2', 'mask_token')))
    biases = [f'{part}.{name}' for part in ('txt_backbone', 'dinov2') for name in fold_biases(parts[part])]
    adapters = {name: value for name, value in parts['dinov2'].items() if '.adapter.' in name}
    pretrained = {name: value for name, value in parts['dinov2'].items() if name not in adapters}
    neck, cut = _convert_neck(parts['neck'])
    weights = {
        **renamed(parts['txt_backbone'], (*CLIP_TEXT, *_ADAPTER), 'text_encoder.'),
        **renamed(from_official(pretrained), (), 'backbone.tower.'),
        **renamed(adapters, _VISUAL_ADAPTER, 'backbone.'),
        **neck,
        **convert_head(parts),
    }
    return Conversion.of(weights, {
        'state of the training': others,
        'used in the pretraining of CLIP and DINOv2 only': unused,
        'folded into the running mean of the normalisation behind': biases,
        'queries and keys, without effect in attention to a single sentence': [f'neck.{name}' for name in cut],
    })
