"""Which parameters of a pretrained encoder train."""
from __future__ import annotations

from collections.abc import Iterable

from torch import nn

TUNING_MODES = ('none', 'norm_bias', 'all')


def apply_tuning(encoder: nn.Module, tuning: str, new_parts: Iterable[nn.Module] = ()) -> None:
    """Let the pretrained parameters of ``encoder`` train or not; those of ``new_parts`` always do.

    Args:
        encoder: the encoder with everything in it.
        tuning: ``none``; ``norm_bias`` for LayerNorm parameters and all biases; ``all``.
        new_parts: modules inside the encoder that are not pretrained, such as adapters.

    Raises:
        ValueError: ``tuning`` is none of the modes.
    """
    if tuning not in TUNING_MODES:
        raise ValueError(f'tuning is {tuning!r}; it must be one of {", ".join(TUNING_MODES)}')
    norms = {id(p) for m in encoder.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters()}
    new = {id(p) for part in new_parts for p in part.parameters()}
    for name, parameter in encoder.named_parameters():
        is_norm_or_bias = id(parameter) in norms or name.endswith('bias')
        tuned = tuning == 'all' or (tuning == 'norm_bias' and is_norm_or_bias)
        parameter.requires_grad_(id(parameter) in new or tuned)
