"""Weights of CRIS (arXiv 2111.15174) as its official code saves them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .renaming import (
    CLIP_TEXT,
    REFINEMENT,
    Conversion,
    RenamingTable,
    convert_head,
    renamed,
    split_checkpoint,
    split_parts,
    take_out,
)

_VISUAL = 'visual.'
_CLIP_VISUAL: RenamingTable = (
    (r'^attnpool\.connect\.0\.', 'connect.conv.'),
    (r'^attnpool\.connect\.1\.', 'connect.bn.'),
    (r'^(?!connect\.)', 'tower.'),
)
_NECK: RenamingTable = (
    (r'^norm_layer\.0\.', 'gated_norm.'),
    *((rf'^f{level}_v_proj\.', f'project.{i}.') for level, i in ((3, 0), (2, 1), (1, 2))),
    *((rf'^f{level}_cat\.', f'join.{i}.') for level, i in ((3, 0), (2, 1))),
    *((rf'^f4_proj{level}\.', f'smooth.{i}.') for i, level in enumerate((3, 4, 5))),
    *REFINEMENT,
    # The sentence passes a linear layer, not a convolution.
    (r'^txt_proj\.conv\.', 'project_sentence.0.'),
    (r'^txt_proj\.bn\.', 'project_sentence.1.'),
)


def convert_cris(checkpoint: Mapping[str, Any]) -> Conversion:
    """Convert a checkpoint of CRIS's official code.

    Args:
        checkpoint: what the file holds: a state dict, with or without ``module.`` ahead of its names, or a training
            checkpoint with one as ``state_dict``.

    Returns:
        Weights for a model of ``configs/cris``, and what was left out.

    Raises:
        InputError: it is no checkpoint of CRIS.
    """
    state, others = split_checkpoint(checkpoint)
    parts = split_parts(state, ('backbone', 'neck', 'decoder', 'proj'), 'CRIS')
    unused = take_out(parts, [('backbone', 'logit_scale')])
    clip = parts['backbone']
    visual = {name.removeprefix(_VISUAL): value for name, value in clip.items() if name.startswith(_VISUAL)}
    text = {name: value for name, value in clip.items() if not name.startswith(_VISUAL)}
    weights = {
        **renamed(text, CLIP_TEXT, 'text_encoder.'),
        **renamed(visual, _CLIP_VISUAL, 'backbone.'),
        **renamed(parts['neck'], _NECK, 'neck.'),
        **convert_head(parts),
    }
    return Conversion.of(weights, {
        'state of the training': others,
        'used in the pretraining of CLIP only': unused,
    })
