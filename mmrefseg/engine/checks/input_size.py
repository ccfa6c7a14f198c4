"""Whether the images that a config's pipelines make fit its model."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

from mmengine.config import Config
from torch import nn

from mmrefseg.datasets.config import LOADERS
from mmrefseg.registry import type_name

_SQUARES = ('Letterbox', 'FastLetterbox', 'RandomLetterbox', 'Stretch')


def check_input_sizes(config: Config, model: nn.Module) -> None:
    """Refuse a config whose pipelines make images of a size that the backbone cannot take.

    The backbone says so in its ``check_input_size(what, height, width)``; one without it takes any.

    Args:
        config: a config with dataloaders.
        model: its model.

    Raises:
        InputError: they do; names the transform and the sizes that may be.
    """
    check = getattr(getattr(model, 'backbone', None), 'check_input_size', None)
    if check is None:
        return
    for loader in LOADERS:
        for step in _find_squares(config.get(f'{loader}_dataloader')):
            name = type_name(step['type'])
            check(f'size of {name} in {loader}_dataloader', step['size'], step['size'])


def _find_squares(part: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of transforms that end in a square, wherever they are within a config."""
    if isinstance(part, Mapping):
        if type_name(part.get('type', '')) in _SQUARES and isinstance(part.get('size'), Integral):
            yield part
        part = part.values()
    elif not isinstance(part, list | tuple):
        return
    for inner in part:
        yield from _find_squares(inner)
