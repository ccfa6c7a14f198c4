"""Whether the images that a config's pipelines make, and the batches of its training, fit its model."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from torch import nn
from torch.utils.data import DataLoader

from mmrefseg.errors import InputError
from mmrefseg.registry import type_name

from .data import LOADERS

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


def check_batches(loader: DataLoader, model: nn.Module) -> None:
    """Refuse a dataloader whose batches, or whose last one, are smaller than a part of the model needs in training.

    The part says so in its ``least_batch``, samples for each process; one without it takes single ones.

    Args:
        loader: the dataloader of the training.
        model: the model.

    Raises:
        InputError: such a batch would come.
    """
    least, part = max((getattr(module, 'least_batch', 1), type(module).__name__) for module in model.modules())
    size = loader.batch_size
    if least == 1 or size is None:  # None: batches of the user's own making
        return
    if size < least:
        raise InputError(f'batch_size of train_dataloader is {size}; {part} needs {least} samples in each batch of a '
                         'process, as it has batch statistics')
    last = 0 if loader.drop_last or isinstance(loader.sampler, InfiniteSampler) else len(loader.sampler) % size
    if 0 < last < least:
        raise InputError(f'the last batch of train_dataloader has {last} of {size} samples; {part} needs {least}, as '
                         'it has batch statistics: set train_dataloader.drop_last=True or another batch_size')


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
