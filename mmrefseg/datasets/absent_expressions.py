"""Asking now and then for what is not there."""
from __future__ import annotations

from collections import defaultdict

import numpy as np

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import key_of
from mmrefseg.utils.type_hints import Share

from .base_referring_dataset import BaseReferringDataset
from .category_matching import NameIndex
from .dataset_wrapper import DatasetWrapper
from .expression_kind import nouns_of

_TRIES = 32


@DATASETS.register_module()
class AbsentExpressions(DatasetWrapper):
    """Gives some samples an expression of another image that names nothing on theirs, and the empty mask.

    A model that only ever saw what is there answers with a mask whatever is asked; trained on these, it learns to give
    none. Where the files tell the categories of all objects (RefCOCO's, COCO's, RefShapes'), an expression is taken
    that says the name of its referent's category, on an image without objects of it. Elsewhere, as in one's own data,
    none of its nouns may be said of the image, which is a guess: what nobody speaks of may still be there.

    A sample is drawn anew in each epoch with our samplers, and is always the same in a test. One for which no
    expression is found stays as it is. Ids are those of the sample.

    Args:
        dataset: a data set of mmrefseg, of whatever ``unit``, or its config.
        rate: chance that a sample is asked so. Default 0.2.
        seed: of the draws where the sampler gives none. Default 0.
        lazy_init: whether to wait with loading until the first sample is asked for. Default False.

    Raises:
        InputError: the data set is none of mmrefseg's.
    """

    def __init__(self, dataset: BaseReferringDataset | dict, rate: Share = 0.2, seed: int = 0,
                 lazy_init: bool = False) -> None:
        super().__init__(dataset)
        if not isinstance(self.dataset, BaseReferringDataset):
            raise InputError(f'AbsentExpressions wraps the data sets of mmrefseg, got {type(self.dataset).__name__}; '
                             'data whose expressions have been changed before are taken as they are')
        self.rate, self.seed = rate, seed
        self._there: dict[str, set[str]] | None = None
        self._others: list[tuple[dict, frozenset]] = []
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load the data set inside, and learn what is on each image and which expressions say what they mean."""
        if self._there is not None:
            return
        self.dataset.full_init()
        names, on_image = self.dataset.object_categories()
        index = NameIndex.of(names)
        there = defaultdict(set, {image: set(categories) for image, categories in on_image.items()})
        for referent in self.dataset.referents():
            for sentence in referent['sentences']:
                said = index.said(sentence['text']) if names else frozenset(nouns_of(sentence['text']).split())
                there[key_of(referent['image_id'])] |= said
                own = said & {key_of(referent['category_id'])} if names else said
                if own and referent['segmentation'] is not None:
                    self._others.append((sentence, frozenset(own)))
        self._there = dict(there)

    def __len__(self) -> int:
        return len(self.dataset)

    def image_numbers(self) -> np.ndarray:
        """(N,) integers: samples of one image have the same."""
        return self.dataset.image_numbers()

    def get_data_info(self, idx: int) -> dict:
        """A sample, or the same image with an expression that names nothing there.

        Args:
            idx: the sample's index.
        """
        self.full_init()
        info = self.dataset.get_data_info(idx)
        generator = np.random.default_rng(getattr(idx, 'seed', (self.seed, int(idx))))
        if generator.random() >= self.rate:
            return info
        sentence = self._absent(key_of(info['image_id']), generator)
        if sentence is None:
            return info
        info.update(segmentation=None, category_id=-1)
        if 'sentences' in info:
            return {**info, 'sentences': [{**sentence, 'sent_id': info['sentences'][0]['sent_id']}]}
        return {**info, 'text': sentence['text'], 'kind': sentence['kind']}

    def _absent(self, image: str, generator: np.random.Generator) -> dict | None:
        if not self._others:
            return None
        for index in generator.integers(len(self._others), size=_TRIES):
            sentence, said = self._others[index]
            if not said & self._there[image]:
                return sentence
        return None
