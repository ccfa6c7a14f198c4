"""From a config to the data sets that it names."""
from __future__ import annotations

from collections.abc import Mapping
from inspect import isclass
from typing import Any

from mmengine.config import Config

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS

from .base_referring_dataset import BaseReferringDataset
from .referring_mixture import ReferringMixture

LOADERS = ('train', 'val', 'test')

OTHERWISE = {'_shuffled': {'type': 'mmrefseg.ShuffledExpressions'},
             '_absent': {'type': 'mmrefseg.AbsentExpressions', 'rate': 0.5}}
"""What stands behind a split's name where it is asked otherwise → config of the data set around the split."""


def dataset_config(config: Config, loader: str) -> dict[str, Any]:
    """The config of the data set that a dataloader reads.

    Args:
        config: a config with dataloaders.
        loader: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        InputError: there is none.
    """
    dataset = (config.get(f'{loader}_dataloader') or {}).get('dataset')
    if dataset is None:
        raise InputError(f'{config.filename or "the config"} has no {loader}_dataloader.dataset; name a config with '
                         'data, such as _base_/datasets/refcoco.py')
    return dataset


def config_of_split(config: Config, split: str) -> dict[str, Any]:
    """The data set of a split: that of the training, or a split of the one that the config tests on.

    Args:
        config: a config with dataloaders.
        split: ``'train'`` means what the config trains on, whatever its split.

    Raises:
        InputError: there is none.
    """
    return dataset_config(config, 'train') if split == 'train' else with_split(dataset_config(config, 'test'), split)


def with_split(dataset: Mapping[str, Any], split: str) -> dict[str, Any]:
    """A data set's config with another split, that of the data set inside where it is one around another.

    Args:
        dataset: its config; is not changed.
        split: the split.
    """
    if 'dataset' in dataset:
        return {**dataset, 'dataset': with_split(dataset['dataset'], split)}
    return {**dataset, 'split': split}


def dataset_class(dataset: Mapping[str, Any]) -> Any:
    """What a config's ``type`` names: a class, or what else builds a data set; None where nothing is known by it.

    Args:
        dataset: a data set's config.
    """
    kind = dataset['type']
    return DATASETS.get(kind) if isinstance(kind, str) else kind


def referring_configs(dataset: Mapping[str, Any], open_mixtures: bool = False) -> list[Mapping[str, Any]]:
    """Find the configs of referring data sets: the config itself, or those within it, as in ``ConcatDataset``.

    Args:
        dataset: config of a data set of any kind.
        open_mixtures: whether the data sets of a ``ReferringMixture`` stand for it, those that it holds out included.
            Default False.
    """
    kind = dataset_class(dataset)
    if isclass(kind) and issubclass(kind, BaseReferringDataset) and not (
            open_mixtures and issubclass(kind, ReferringMixture)):
        return [dataset]
    inner = [*dataset.get('datasets', ()), *(dataset.get('held_out') or ()),
             *([dataset['dataset']] if 'dataset' in dataset else ())]
    return [found for part in inner for found in referring_configs(part, open_mixtures)]


def referring_sets(dataset: Any, open_mixtures: bool = False) -> list[BaseReferringDataset]:
    """What :func:`referring_configs` does, for a data set that is built.

    Args:
        dataset: a data set of any kind.
        open_mixtures: see there. Default False.
    """
    if isinstance(dataset, BaseReferringDataset) and not (open_mixtures and isinstance(dataset, ReferringMixture)):
        return [dataset]
    if isinstance(dataset, ReferringMixture):
        inner = dataset.sources if dataset.held_out is dataset.sources else [*dataset.sources, *dataset.held_out]
    else:
        inner = [*getattr(dataset, 'datasets', ()), *([dataset.dataset] if hasattr(dataset, 'dataset') else ())]
    return [found for part in inner for found in referring_sets(part, open_mixtures)]


def build_unread(dataset: Mapping[str, Any], **changes: Any) -> BaseReferringDataset:
    """Build a referring data set without its pipeline; nothing is read before it is asked for.

    Args:
        dataset: its config; is not changed.
        **changes: settings to override, such as ``split``.
    """
    return DATASETS.build({**dataset, 'pipeline': [], 'lazy_init': True, **changes})
