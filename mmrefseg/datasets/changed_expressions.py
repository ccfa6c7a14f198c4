"""The same images and referents, asked for in other words: what can be asked instead, and data sets that ask it."""
from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import key_of

from .category_matching import NameIndex
from .dataset_wrapper import DatasetWrapper
from .expression_kind import nouns_of
from .image_sharing import prepare_samples
from .transforms.text import swap_left_right, swap_top_bottom


@dataclass(frozen=True)
class Questions:
    """What is asked on a split.

    Args:
        images: a key per expression; those with equal keys are about the same image.
        texts: the expressions.
        categories: id of the referent's category per expression; -1 where there is none.
        names: names of the categories by the key of their id. Default {}: the files don't tell.
        on_image: these keys of all objects by image, those that nothing refers to included. Default {}.
    """

    images: Sequence[str]
    texts: Sequence[str]
    categories: Sequence[int]
    names: Mapping[str, str] = field(default_factory=dict)
    on_image: Mapping[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ExpressionChange:
    """A way to ask otherwise: with the expression of another sample, or with another text made of one's own.

    Args:
        says: what is asked, in words.
        partners: of questions and a seed, whose expression each sample gets, (N, ) integers; -1 leaves a sample out.
            Default None: its own.
        reword: of an expression and a generator, another text; None leaves the sample out. Default None: as it is.
    """

    says: str
    partners: Callable[[Questions, int], np.ndarray] | None = None
    reword: Callable[[str, np.random.Generator], str | None] | None = None


def exchange(images: Sequence, texts: Sequence[str], seed: int) -> np.ndarray:
    """Draw a permutation that leaves no sample in place, and avoids partners of the same image or the same text.

    Args:
        images: image of each of the N samples.
        texts: expression of each sample.
        seed: seed of the draw.

    Returns:
        (N,) integers; the partner of each sample.
    """
    image, text = (np.unique(values, return_inverse=True)[1] for values in (images, texts))
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(texts))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)

    def fits(sample: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (image[sample] != image[other]) & (text[sample] != text[other])

    everyone = np.arange(len(texts))
    for sample in np.flatnonzero(~fits(everyone, partner)):
        swaps = np.flatnonzero(fits(sample, partner) & fits(everyone, partner[sample]))
        if len(swaps) and not fits(sample, partner[sample]):
            other = generator.choice(swaps)
            partner[[sample, other]] = partner[[other, sample]]

    unfit = np.count_nonzero(~fits(everyone, partner))
    if unfit:
        print_log(f'{unfit} of {len(texts)} expressions could not be exchanged for a different one of a different '
                  'image, and went to an image or a text of their own.', 'current', logging.WARNING)
    return partner


def absent_partners(asked: Questions, seed: int) -> np.ndarray:
    """Draw for each sample an expression that names nothing on its image.

    Such an expression says the name of its referent's category ("the striped cat"; "the left one" could mean anything),
    no object of the image is of this category, and no expression about the image says its name. An expression may be
    drawn several times.

    Args:
        asked: N expressions, with the categories of all objects of the images.
        seed: seed of the draw.

    Returns:
        (N,) integers; -1 where no expression is sure to name nothing.
    """
    partners = np.full(len(asked.texts), -1)
    if not asked.names:
        return partners
    name_index, numbers = NameIndex.of(asked.names), {key: number for number, key in enumerate(asked.names)}
    said = [name_index.said(text) for text in asked.texts]
    there = {image: set(categories) for image, categories in asked.on_image.items()}
    indices_of = defaultdict(list)
    for index, (image, names) in enumerate(zip(asked.images, said, strict=True)):
        there.setdefault(image, set()).update(names)
        indices_of[image].append(index)
    keys = [key_of(category) for category in asked.categories]
    categories = np.array([numbers.get(key, -1) for key in keys])
    donors = np.array([index for index, names in enumerate(said) if keys[index] in names], np.int64)
    generator = np.random.default_rng(seed)
    for image, indices in indices_of.items():
        if image not in asked.on_image:
            continue
        present = [numbers[key] for key in there[image] if key in numbers]
        absent = donors[~np.isin(categories[donors], present)]
        if len(absent):
            partners[indices] = generator.choice(absent, len(indices))
    return partners


def shuffle_words(text: str, generator: np.random.Generator) -> str | None:
    """The words of an expression in another order, which is drawn; None where there is no other.

    Args:
        text: a referring expression.
        generator: draws the order.
    """
    words = text.split()
    if len(set(words)) < 2:
        return None
    shuffled = [words[index] for index in generator.permutation(len(words))]
    return ' '.join(words[1:] + words[:1] if shuffled == words else shuffled)


def swap_places(text: str, generator: np.random.Generator | None = None) -> str | None:
    """An expression with its places exchanged, left for right and top for bottom; None where it names none.

    Args:
        text: a referring expression.
        generator: not used. Default None.
    """
    swapped = swap_top_bottom(swap_left_right(text))
    return None if swapped == text else swapped


def only_nouns(text: str, generator: np.random.Generator | None = None) -> str | None:
    """The nouns of an expression alone; None where it has none, or nothing else.

    Args:
        text: a referring expression.
        generator: not used. Default None.
    """
    nouns = nouns_of(text)
    return nouns if nouns and len(nouns.split()) < len(text.split()) else None


EXPRESSION_CHANGES: Mapping[str, ExpressionChange] = MappingProxyType({
    'permuted': ExpressionChange('expressions of other images', partners=lambda asked, seed: exchange(
        asked.images, [text.strip().lower() for text in asked.texts], seed)),
    'absent': ExpressionChange('expressions that name nothing there', partners=absent_partners),
    'word-order': ExpressionChange('words shuffled', reword=shuffle_words),
    'places': ExpressionChange('left and right, top and bottom exchanged', reword=swap_places),
    'nouns': ExpressionChange('nouns alone', reword=only_nouns),
    'empty': ExpressionChange('an empty expression', reword=lambda text, generator: ''),
})
"""Ways to ask otherwise by name."""


@DATASETS.register_module()
class ChangedExpressions(DatasetWrapper):
    """Asks about every sample in other words; image, ground truth and ids stay.

    A model that reads its expressions answers otherwise. Samples that a change has no effect on, such as expressions of
    one word whose words are shuffled, are left out.

    - ``'permuted'``: the expression of another sample, each used once; of a different image and of other words than its
      own, where the data permit it (a warning tells how often they did not).
    - ``'absent'``: an expression from another image that names nothing there, as far as the files tell the categories
      of all objects; see :func:`~mmrefseg.datasets.changed_expressions.absent_partners`.
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
        if change not in EXPRESSION_CHANGES:
            raise InputError(f'there is no change {str(change)[:80]!r} of expressions; there are '
                             + ', '.join(EXPRESSION_CHANGES))
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
        size, change = len(self.dataset), EXPRESSION_CHANGES[self.change]
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
        reword = EXPRESSION_CHANGES[self.change].reword
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
