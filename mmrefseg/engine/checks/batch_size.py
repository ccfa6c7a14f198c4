"""Whether there are samples for whole batches, and whether batches are large enough for the model."""
from __future__ import annotations

from math import ceil

from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, get_world_size
from torch import nn
from torch.utils.data import DataLoader

from mmrefseg.datasets.samplers import sampler_of
from mmrefseg.errors import InputError


def check_batch_size(loader: DataLoader, model: nn.Module) -> None:
    """Refuse a training that would have no whole batch, or a batch that is too small for a part of the model.

    With ``drop_last`` a training on less than a batch would end at once with nothing trained; without it, or with a
    sampler that has no end, batches would be smaller, or hold samples twice, other than the config says. A part says
    in its ``least_batch`` how many samples it needs in each process; one without it takes single ones.

    Args:
        loader: the dataloader of the training; every process must call.
        model: the model.

    Raises:
        InputError: such a batch would come; names the numbers and what to set.
    """
    _check_least_batch(loader, model)
    _check_whole_batches(loader)


def _check_least_batch(loader: DataLoader, model: nn.Module) -> None:
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


def _check_whole_batches(loader: DataLoader) -> None:
    if not hasattr(loader.dataset, '__len__'):
        return
    batch_size = _batch_size(loader)
    shares, batches = zip(*all_gather_object((_share(loader), len(loader))), strict=True)
    # A sampler of batches may leave out more than what is over.
    if min(shares) >= batch_size and min(batches) > 0:
        return
    processes, samples, share = get_world_size(), len(loader.dataset), min(shares)
    of_each, in_each = (f', {share} for each of {processes} processes', ' in each') if processes > 1 else ('', '')
    mends = ([f'set train_dataloader.batch_size to {share} or less'] if share else []) + (
        ['start fewer processes'] if processes > 1 else []) + ['use more data']
    raise InputError(f'train_dataloader has {samples} samples{of_each}, and a batch of {batch_size}{in_each}: no '
                     f'batch is whole; {", or ".join(mends)}')


def _batch_size(loader: DataLoader) -> int:
    # Samplers of batches may be anything, and a dataloader without one takes single samples.
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 1


def _share(loader: DataLoader) -> int:
    """Samples of this process in one pass."""
    sampler = sampler_of(loader)
    # One that has no end says how many samples there are for all processes.
    return ceil(len(sampler) / get_world_size()) if isinstance(sampler, InfiniteSampler) else len(sampler)
