"""Whether a training has images that the same config tests on."""
from __future__ import annotations

import logging
from collections import Counter

from mmengine.logging import print_log
from mmengine.runner import Runner

from mmrefseg.datasets import BaseReferringDataset, ReferringMixture
from mmrefseg.datasets.config import build_unread, referring_configs, referring_sets
from mmrefseg.datasets.leakage import Splits, describe_leaks, held_out_images, shared_images
from mmrefseg.errors import InputError


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
