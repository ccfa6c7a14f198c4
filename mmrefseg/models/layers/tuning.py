"""Which parameters of a pretrained encoder train."""
from __future__ import annotations

from collections.abc import Iterable

from timm.layers import RmsNorm
from torch import nn
from typing_extensions import Self

from .setting_checks import check_setting

TUNING_MODES = ('none', 'norm_bias', 'all')
_NORMS = (nn.LayerNorm, nn.RMSNorm, RmsNorm)


def apply_tuning(encoder: nn.Module, tuning: str, new_parts: Iterable[nn.Module] = ()) -> None:
    """Let the pretrained parameters of ``encoder`` train or not; those of ``new_parts`` always do.

    Args:
        encoder: the encoder with everything in it.
        tuning: ``none``; ``norm_bias`` for parameters of LayerNorm or RMSNorm and all biases; ``all``.
        new_parts: modules inside the encoder that are not pretrained, such as adapters. Default none.

    Raises:
        InputError: ``tuning`` is none of the modes.
    """
    check_setting(f'tuning of {type(encoder).__name__}', tuning, tuning in TUNING_MODES,
                  f'one of {", ".join(map(repr, TUNING_MODES))}')
    norms = {id(p) for m in encoder.modules() if isinstance(m, _NORMS) for p in m.parameters()}
    new = {id(p) for part in new_parts for p in part.parameters()}
    for name, parameter in encoder.named_parameters():
        is_norm_or_bias = id(parameter) in norms or name.endswith('bias')
        tuned = tuning == 'all' or (tuning == 'norm_bias' and is_norm_or_bias)
        parameter.requires_grad_(id(parameter) in new or tuned)


class TunedEncoder(nn.Module):
    """Base of pretrained encoders with a setting of what in them trains.

    Unless all of it trains, the pretrained part stays in evaluation mode: dropout, drop path and batch statistics
    don't act in there, in training either. New parts follow the mode. Nothing is stored for the backward pass ahead
    of the first parameter that trains; with ``norm_bias`` that is in the first layer.
    """

    tuning = 'all'

    def new_parts(self) -> tuple[nn.Module, ...]:
        """The modules that no pretrained file holds."""
        return ()

    def set_tuning(self, tuning: str) -> None:
        """Choose which pretrained parameters train.

        Args:
            tuning: ``none``, ``norm_bias`` (LayerNorm and biases) or ``all``.

        Raises:
            InputError: ``tuning`` is none of these.
        """
        apply_tuning(self, tuning, self.new_parts())
        self.tuning = tuning
        self.train(any(module.training for module in self.modules()))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the new parts, and of the pretrained part if all of it trains; else that stays as it is."""
        super().train(mode and self.tuning == 'all')
        for part in self.new_parts():
            part.train(mode)
        return self
