"""The same images and referents, asked for in other words."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS

from .annotation_fields import key_of
from .dataset_wrapper import DatasetWrapper
from .expression_changes import CHANGES, Questions
from .image_sharing import prepare_samples


@DATASETS.register_module()
class ChangedExpressions(DatasetWrapper):
    """Asks about every sample in other words; image, ground truth and ids stay.

    A model that reads its expressions answers otherwise. Samples that a change has no effect on, such as expressions of
    one word whose words are shuffled, are left out.

    - ``'permuted'``: the expression of another sample, each used once; of a different image and of other words than its
      own, where the data permit it (a warning tells how often they did not).
    - ``'absent'``: an expression from another image that names nothing there, as far as the files tell the categories
      of all objects; see :func:`~mmrefseg.datasets.expression_changes.absent_partners`.
    - ``'word-order'``: the expression's own words in another order.
    - ``'places'``: left and right, top and bottom exchanged.
    - ``'nouns'``: the nouns alone.
    - ``'empty'``: an empty expression.

    Args:
        dataset: a data set whose samples have one ``text`` each (``unit='sentence'``), or its config.
        change: one of the six.
        seed: the same seed gives the same expressions. Default 0.
        lazy_init: whether to wait with loading until the first sample is asked for. Default False.

    Raises:
        InputError: there is no such change; or the data set has no ``text``, or fewer than two samples where
            expressions come from others.
    """

    def __init__(self, dataset: BaseDataset | dict, change: str, seed: int = 0, lazy_init: bool = False) -> None:
        if change not in CHANGES:
            raise InputError(f'there is no change {str(change)[:80]!r} of expressions; there are {", ".join(CHANGES)}')
        super().__init__(dataset)
        self.change, self.seed = change, seed
        self._indices: np.ndarray | None = None
        self._partners: np.ndarray | None = None
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load the data set inside and draw what is asked."""
        if self._indices is not None:
            return
        self.dataset.full_init()
        size, change = len(self.dataset), CHANGES[self.change]
        if not size or 'text' not in self.dataset.get_data_info(0) or (change.partners and size < 2):
            raise InputError(f'{type(self).__name__} needs at least two samples with one expression each: set '
                             f"unit='sentence' in the data set inside, which has {size} samples.")
        partners = change.partners(self._questions(), self.seed) if change.partners else np.arange(size)
        kept = partners >= 0
        if change.reword:
            kept = [self._reword(index, self.dataset.get_data_info(index)['text']) is not None for index in range(size)]
        self._indices = np.flatnonzero(kept)
        self._partners = partners[self._indices]

    def _questions(self) -> Questions:
        columns = [], [], []
        for info in map(self.dataset.get_data_info, range(len(self.dataset))):  # only three of its values are kept
            about = key_of(info['image_id']), info['text'], info.get('category_id', -1)
            for column, value in zip(columns, about, strict=True):
                column.append(value)
        told = self.dataset.object_categories() if hasattr(self.dataset, 'object_categories') else ({}, {})
        return Questions(*columns, *told)

    def _reword(self, index: int, text: str) -> str | None:
        reword = CHANGES[self.change].reword
        return reword(text, np.random.default_rng((self.seed, index))) if reword else text

    def __len__(self) -> int:
        self.full_init()
        return len(self._indices)

    def image_numbers(self) -> np.ndarray:
        """(N,) integers: samples of one image have the same."""
        self.full_init()
        return self.dataset.image_numbers()[self._indices]

    def get_data_info(self, idx: int) -> dict:
        """A sample with another ``text``; one from another sample comes with its ``kind``.

        Args:
            idx: the sample's index.
        """
        self.full_init()
        index = int(self._indices[idx])
        info, partner = self.dataset.get_data_info(index), self.dataset.get_data_info(int(self._partners[idx]))
        return {**info, 'text': self._reword(index, partner['text']), 'kind': partner['kind']}

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Several samples, as PyTorch's data loader asks for them; each image is read once where possible."""
        return prepare_samples(self, indices, self.dataset.pipeline.transforms)


@DATASETS.register_module()
class ShuffledExpressions(ChangedExpressions):
    """The text-blind control: every sample gets the expression of another one.

    It is :class:`ChangedExpressions` with ``change='permuted'``. A model that reads its expressions must fall far below
    its score here; one that finds the salient object whatever is asked does not.

    Args:
        dataset: a data set whose samples have one ``text`` each (``unit='sentence'``), or its config.
        seed: the same seed gives the same exchange. Default 0.
        lazy_init: whether to wait with loading until the first sample is asked for. Default False.

    Raises:
        InputError: the data set has no ``text``, or fewer than two samples.
    """

    def __init__(self, dataset: BaseDataset | dict, seed: int = 0, lazy_init: bool = False) -> None:
        super().__init__(dataset, 'permuted', seed, lazy_init)
