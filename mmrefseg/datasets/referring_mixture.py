"""Training on several data sets at once, without images that one of them tests on."""
from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mmengine.logging import print_log

from mmrefseg.registry import DATASETS

from .base_referring_dataset import BaseReferringDataset


@DATASETS.register_module()
class ReferringMixture(BaseReferringDataset):
    """The refs of several data sets, without those on images that a data set holds out.

    Data sets that share images split them differently, so that one's training images are another's test images. An
    image is held out if it occurs in any split but ``train``; which images are the same is what the data sets'
    ``image_key`` says. How many refs each source lost is logged.

    Its samples are those of the sources, with ``image_key`` (str).

    Args:
        datasets (Sequence[dict | BaseReferringDataset]): The sources, data sets or their configs, each with its own
            ``split``. Their ``unit``, ``pipeline`` and the like have no effect: the mixture has its own.
        held_out (Sequence[dict | BaseReferringDataset] | None): Data sets, of whatever split, whose held-out images
            are left out. Default: None, which means the sources.
        allow_leakage (bool): Whether the mixture may hold images that its sources hold out, because ``held_out`` does
            not name them. Default: False.
        **kwargs: ``unit``, ``pipeline`` and more of :class:`BaseReferringDataset`, but not ``data_root`` and
            ``split``.

    Raises:
        ValueError: If there is no source, a source loses all its refs, or, without ``allow_leakage``, images remain
            that a source holds out.
    """

    def __init__(self,
                 datasets: Sequence[dict | BaseReferringDataset],
                 held_out: Sequence[dict | BaseReferringDataset] | None = None,
                 allow_leakage: bool = False,
                 **kwargs) -> None:
        if not datasets:
            raise ValueError('datasets is empty: name at least one data set to train on')
        self.sources = _build(datasets)
        self.held_out = self.sources if held_out is None else _build(held_out)
        self.allow_leakage = allow_leakage
        super().__init__(data_root='', split='train', **kwargs)

    @property
    def title(self) -> str:
        """Those of the sources."""
        return ' + '.join(source.title for source in self.sources)

    def image_key(self, referent: Mapping) -> str:
        """As the referent's source has it."""
        return referent['image_key']

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split of the sources, before any are left out."""
        images: dict[str, set[str]] = {}
        for source in self.sources:
            for split, keys in source.images_by_split().items():
                images.setdefault(split, set()).update(keys)
        return images

    def load_referents(self) -> list[dict]:
        """Collect the sources' referents and leave out those on held-out images."""
        tested = _held_out_images(self.sources)
        left_out = tested if self.held_out is self.sources else _held_out_images(self.held_out)
        left_out_keys = set().union(*left_out.values())
        mixture, leaks = [], []
        for source in self.sources:
            referents = [dict(referent, image_key=source.image_key(referent)) for referent in source.referents()]
            kept = [referent for referent in referents if referent['image_key'] not in left_out_keys]
            name = f'{source.title} {source.split}'
            _report_loss(name, len(referents), len(kept))
            leaks += _describe_leaks(name, kept, tested)
            mixture += kept
        self._judge(leaks)
        return mixture

    def _judge(self, leaks: list[str]) -> None:
        if not leaks:
            return
        message = 'The mixture trains on images that its own data sets hold out:\n' + '\n'.join(leaks)
        if not self.allow_leakage:
            raise ValueError(f'{message}\nLeave held_out at None or name these data sets there, too, and they are left '
                             'out; with allow_leakage=True they stay, and figures on these splits mean little.')
        print_log(message, 'current', logging.WARNING)


def _build(datasets: Iterable[dict | BaseReferringDataset]) -> list[BaseReferringDataset]:
    return [DATASETS.build(dict(dataset, lazy_init=True)) if isinstance(dataset, dict) else dataset
            for dataset in datasets]


def _held_out_images(datasets: Iterable[BaseReferringDataset]) -> dict[str, set[str]]:
    """Keys of the images of every split but train, by the names of data set and split."""
    return {f'{dataset.title} {split}': keys
            for dataset in datasets
            for split, keys in dataset.images_by_split().items() if split != 'train'}


def _report_loss(name: str, number: int, kept: int) -> None:
    if not kept:
        raise ValueError(f'{name}: every one of its {number} refs is on a held-out image. Remove it from datasets, or '
                         'name in held_out what must not be trained on.')
    print_log(f'{name}: {number - kept} of {number} refs left out, whose images are held out', 'current')


def _describe_leaks(name: str, referents: list[dict], tested: dict[str, set[str]]) -> list[str]:
    """A line for each tested split that the referents' images occur in."""
    number = Counter(referent['image_key'] for referent in referents)
    shared = {split: sum(number[key] for key in keys & number.keys()) for split, keys in tested.items()}
    return [f'  {name}: {count} refs on images of {split}' for split, count in shared.items() if count]
