"""What ``CheckSetupHook`` looks at before a run: each check raises an error that says how to mend the config."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil
from numbers import Integral
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, get_world_size
from mmengine.logging import print_log
from torch import nn
from torch.utils.data import DataLoader

from mmrefseg.datasets import BaseReferringDataset, ReferringMixture
from mmrefseg.datasets.dataset_configs import LOADERS, build_unread, referring_configs, referring_sets
from mmrefseg.datasets.leakage import Splits, describe_leaks, held_out_images, shared_images
from mmrefseg.datasets.samplers import sampler_of
from mmrefseg.errors import InputError
from mmrefseg.registry import type_name

if TYPE_CHECKING:
    from mmengine.runner import Runner


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
        for step in find_squares(config.get(f'{loader}_dataloader')):
            name = type_name(step['type'])
            check(f'size of {name} in {loader}_dataloader', step['size'], step['size'])


def find_squares(part: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of transforms that end in a square, wherever they are within a config.

    Args:
        part: of a config.
    """
    if isinstance(part, Mapping):
        if type_name(part.get('type', '')) in _SQUARES and isinstance(part.get('size'), Integral):
            yield part
        part = part.values()
    elif not isinstance(part, list | tuple):
        return
    for inner in part:
        yield from find_squares(inner)


def check_leakage(runner: Runner) -> None:
    """Refuse to train on several data sets whose images a benchmark of the same config holds out.

    The benchmarks are the data sets of ``val_dataloader`` and ``test_dataloader``, and they hold out every split but
    ``train``, whichever of them the config tests on. A ``ReferringMixture`` with ``allow_leakage=True`` is warned
    of. A data set that is trained on alone is not looked at, for some were published leaking, and neither are those of
    other libraries.

    Args:
        runner: the runner, with its dataloaders.

    Raises:
        MissingInputError: files of what the config tests on are missing.
        InputError: the training data leak.
    """
    trained = referring_sets(runner.train_dataloader.dataset)
    if len(trained) < 2 and not any(isinstance(dataset, ReferringMixture) for dataset in trained):
        return
    tested = _tested_images(runner, trained)
    refused, allowed = [], []
    for dataset in trained:
        is_allowed = isinstance(dataset, ReferringMixture) and dataset.allow_leakage
        (allowed if is_allowed else refused).extend(_leaks_of(dataset, tested))
    if refused:
        raise InputError('train_dataloader mixes data sets and has images that this config tests on:\n'
                         + '\n'.join(refused) + '\nTrain on a ReferringMixture whose held_out names these data '
                         'sets beside its own, and the images are left out; with its allow_leakage=True they '
                         'stay, and figures on these splits mean little.')
    if allowed:
        print_log('Training has images that this config tests on; figures on these splits mean little:\n'
                  + '\n'.join(allowed), 'current', logging.WARNING)


def _tested_images(runner: Runner, trained: list[BaseReferringDataset]) -> Splits:
    tested = referring_sets(runner.val_dataloader.dataset, open_mixtures=True) if runner.val_loop else []
    test = (runner.cfg.get('test_dataloader') or {}).get('dataset')
    if test:
        tested += [build_unread(dataset) for dataset in referring_configs(test, open_mixtures=True)]
    titles = {dataset.title for dataset in tested}
    # The data sets that are read already first: files of the same title are then not read again.
    parts = [part for dataset in trained for part in referring_sets(dataset, open_mixtures=True)]
    return held_out_images(dataset for dataset in [*parts, *tested] if dataset.title in titles)


def _leaks_of(dataset: BaseReferringDataset, tested: Splits) -> list[str]:
    if not shared_images(dataset.images(), tested):
        return []  # without a look at every ref
    refs_on_image = Counter(map(dataset.image_key, dataset.referents()))
    return describe_leaks(f'{dataset.title} {dataset.split}', refs_on_image, tested)
