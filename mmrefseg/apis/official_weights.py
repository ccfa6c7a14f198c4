"""Checkpoints of published implementations, recognised by the names of their weights and converted in memory."""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmrefseg.checkpoints.loading import load_checkpoint
from mmrefseg.errors import InputError
from mmrefseg.models.converters import Conversion, convert_cris, convert_detris
from mmrefseg.models.converters.renaming import split_checkpoint

_METHODS: dict[str, tuple[frozenset[str], Callable[[Mapping[str, Any]], Conversion]]] = {
    'DETRIS': (frozenset({'txt_backbone', 'dinov2', 'neck', 'decoder', 'proj'}), convert_detris),
    'CRIS': (frozenset({'backbone', 'neck', 'decoder', 'proj'}), convert_cris),
}


def recognise_method(checkpoint: Mapping[str, Any]) -> str | None:
    """The method whose official code saved a checkpoint; None if it is neither.

    Args:
        checkpoint: what the file holds.
    """
    parts = {name.partition('.')[0] for name in split_checkpoint(checkpoint)[0]}
    return next((method for method, (expected, _) in _METHODS.items() if parts == expected), None)


def load_any_checkpoint(model: nn.Module, weights: str | Path) -> None:
    """Load a checkpoint of mmrefseg, or an official one of DETRIS or CRIS.

    Args:
        model: receives the weights.
        weights: path or address of the checkpoint; it is read as data.

    Raises:
        UserError: as :func:`~mmrefseg.checkpoints.loading.load_checkpoint`.
    """
    from mmengine.runner import CheckpointLoader  # here, as in checkpoints/loading.py

    source = str(weights)
    checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu', logger='silent')
    method = recognise_method(checkpoint)
    if method is not None:
        try:
            converted = _METHODS[method][1](checkpoint).weights
        except InputError as error:
            raise InputError(f'{source} is {error}') from None
        print_log(f'{source} is an official checkpoint of {method}, and was converted.', 'current', logging.INFO)
        checkpoint, source = dict(state_dict=converted), f'{source}, an official checkpoint of {method},'
    load_checkpoint(model, checkpoint, source)
