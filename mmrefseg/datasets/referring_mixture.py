"""Training on several data sets at once, without images that one of them tests on."""
from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from mmengine.logging import print_log

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS

from .base_referring_dataset import BaseReferringDataset
from .leakage import Splits, describe_leaks, held_out_images, shared_images
from .referent_storage import Referents


@DATASETS.register_module()
class ReferringMixture(BaseReferringDataset):
    """The refs of several data sets, without those on images that a data set holds out.

    Data sets that share images split them differently, so that one's training images are another's test images. An
    image is held out if it occurs in any split but ``train``; which images are the same is what the data sets'
    ``image_key`` says. How many refs each source lost is logged.

    Its samples are those of the sources, with ``image_key`` (str). They stay where the sources keep them.

    Args:
        datasets: the sources, data sets or their configs, each with its own ``split``; any class will do. Their
            ``unit``, ``indices``, ``pipeline`` and the like have no effect: the mixture has its own.
        held_out: data sets, of whatever split, whose held-out images are left out. Default None, which means the
            sources.
        allow_leakage: whether the mixture may hold images that its sources hold out, because ``held_out`` does not name
            them. Default False.
        **kwargs: ``unit``, ``pipeline`` and more of :class:`BaseReferringDataset`, but not ``data_root`` and
            ``split``.

    Raises:
        InputError: there is no source, one is named twice, a source loses all its refs, or, without ``allow_leakage``,
            images remain that a source holds out.
    """

    def __init__(self,
                 datasets: Sequence[dict | BaseReferringDataset],
                 held_out: Sequence[dict | BaseReferringDataset] | None = None,
                 allow_leakage: bool = False,
                 **kwargs) -> None:
        if fixed := sorted({'data_root', 'split', 'data_prefix', 'ann_file', 'ignore_orientation', 'allow_links_out'} &
                           kwargs.keys()):
            raise InputError(f'ReferringMixture has no setting {", ".join(fixed)}: its data sets have, each its own')
        if not datasets:
            raise InputError('datasets is empty: name at least one data set to train on')
        self.sources = _build(datasets)
        _refuse_repetition(self.sources)
        self.held_out = self.sources if held_out is None else _build(held_out)
        self.allow_leakage = allow_leakage
        super().__init__(data_root='', split='train', **kwargs)

    @property
    def title(self) -> str:
        """The titles of all sources, joined by a plus."""
        return ' + '.join(source.title for source in self.sources)

    def check_links(self, referent: Mapping) -> None:
        """Do nothing: each source has checked its own images when it was loaded."""

    def image_key(self, referent: Mapping) -> str:
        """The image's name across data sets, as the referent's source has stored it."""
        return referent['image_key']

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split of the sources, before any are left out."""
        images: dict[str, set[str]] = {}
        for source in self.sources:
            for split, keys in source.images_by_split().items():
                images.setdefault(split, set()).update(keys)
        return images

    def images(self) -> set[str]:
        """Keys of the sources' images that are not left out."""
        kept = set().union(*(source.images() for source in self.sources))
        return kept.difference(*held_out_images(self.held_out).values())

    def load_referents(self) -> Referents:
        """Find those of the sources' referents that are not on held-out images."""
        # Before the images of the splits, which some data sets come upon when they read their referents.
        referents = [source.referents() for source in self.sources]
        tested = held_out_images(self.sources)
        left_out = tested if self.held_out is self.sources else held_out_images(self.held_out)
        left_out_keys = set().union(*left_out.values())
        kept, leaks = [], []
        for source, own in zip(self.sources, referents, strict=True):
            keys = [source.image_key(referent) for referent in own]
            kept.append(np.array([idx for idx, key in enumerate(keys) if key not in left_out_keys], np.int64))
            if not len(kept[-1]):
                _refuse_nothing(_name(source), keys, left_out)
            print_log(f'{_name(source)}: {len(keys) - len(kept[-1])} of {len(keys)} refs left out, whose images are '
                      'held out', 'current')
            leaks += describe_leaks(_name(source), Counter(keys[idx] for idx in kept[-1]), tested)
        self._judge(leaks)
        return _ReferentsOfSources(self.sources, kept)

    def _judge(self, leaks: list[str]) -> None:
        if not leaks:
            return
        message = 'The mixture trains on images that its own data sets hold out:\n' + '\n'.join(leaks)
        if not self.allow_leakage:
            raise InputError(f'{message}\nLeave held_out at None or name these data sets there, too, and they are left '
                             'out; with allow_leakage=True they stay, and figures on these splits mean little.')
        print_log(message, 'current', logging.WARNING)


class _ReferentsOfSources(Referents):
    """Some of the referents of several data sets.

    Args:
        sources: S data sets.
        kept: for each of them the indices of the referents, integers.
    """

    def __init__(self, sources: Sequence[BaseReferringDataset], kept: Sequence[np.ndarray]) -> None:
        super().__init__(np.concatenate([source.referents().num_sentences[indices]
                                         for source, indices in zip(sources, kept, strict=True)]))
        self._sources = sources
        self._origins = np.repeat(np.arange(len(kept)), [len(indices) for indices in kept])
        self._indices = np.concatenate(kept)

    def __getitem__(self, index: int) -> dict:
        source = self._sources[self._origins[index]]
        referent = source.referents()[self._indices[index]]
        source.check_links(referent)
        return {'image_folder': source.data_prefix['img_path'], **referent, 'image_key': source.image_key(referent)}


def _build(datasets: Iterable[dict | BaseReferringDataset]) -> list[BaseReferringDataset]:
    return [DATASETS.build(dict(dataset, lazy_init=True)) if isinstance(dataset, dict) else dataset
            for dataset in datasets]


def _name(dataset: BaseReferringDataset) -> str:
    return f'{dataset.title} {dataset.split}'


def _refuse_repetition(sources: list[BaseReferringDataset]) -> None:
    seen = set()
    for source in sources:
        # However the path of the folder is written.
        name = source.title.replace(source.data_root, os.path.realpath(source.data_root)), source.split
        if name in seen:
            raise InputError(f'datasets names {_name(source)} twice. Name each data set once; whoever wants more of '
                             'one than of another can weight them with a sampler.')
        seen.add(name)


def _refuse_nothing(name: str, keys: list[str], left_out: Splits) -> None:
    splits = ', '.join(f'{" ".join(split)} ({len(images)} images)'
                       for split, images in shared_images(keys, left_out).items())
    raise InputError(f'{name}: every one of its {len(keys)} refs is on a held-out image, of {splits}. Every split that '
                     'is not called train is held out: remove the data set from datasets, rename or remove its split, '
                     'or name in held_out what must not be trained on.')
