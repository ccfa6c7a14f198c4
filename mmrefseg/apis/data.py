"""From a config to the data sets that it names."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmrefseg.datasets import BaseReferringDataset
from mmrefseg.registry import DATASETS

LOADERS = ('train', 'val', 'test')


def dataset_config(config: Config, loader: str) -> dict[str, Any]:
    """The data set of a loader.

    Args:
        config: a config with dataloaders.
        loader: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ValueError: there is none.
    """
    dataset = (config.get(f'{loader}_dataloader') or {}).get('dataset')
    if dataset is None:
        raise ValueError(f'{config.filename or "the config"} has no {loader}_dataloader.dataset; name a config with '
                         'data, such as _base_/datasets/refcoco.py')
    return dataset


def config_of_split(config: Config, split: str) -> dict[str, Any]:
    """The data set of a split: that of the training, or a split of the one that the config tests on.

    Args:
        config: a config with dataloaders.
        split: ``'train'`` means what the config trains on, whatever its split.

    Raises:
        ValueError: there is none.
    """
    return dataset_config(config, 'train') if split == 'train' else {**dataset_config(config, 'test'), 'split': split}


def referring_datasets(dataset: Mapping[str, Any], **changes: Any) -> list[BaseReferringDataset]:
    """Build the referring data set of a config, or those within it, as in MMEngine's ``ConcatDataset``.

    Nothing is read before it is asked for, and the pipelines are left out.

    Args:
        dataset: config of a data set of any kind; is not changed.
        **changes: settings to override in each referring data set, such as ``split``.
    """
    kind = DATASETS.get(dataset['type'])
    if kind is not None and issubclass(kind, BaseReferringDataset):
        return [DATASETS.build({**dataset, 'pipeline': [], 'lazy_init': True, **changes})]
    inner = [*dataset.get('datasets', ()), *([dataset['dataset']] if 'dataset' in dataset else ())]
    return [found for part in inner for found in referring_datasets(part, **changes)]
