"""What can be asked instead of an expression, to see what a model makes of the words."""
from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log

from .annotation_fields import key_of
from .expression_kind import nouns_of
from .transforms.text import swap_left_right, swap_top_bottom

_WORD = re.compile(r'\w+')
_LONGEST_NAME = 16  # words


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


class NameIndex(NamedTuple):
    """Names of categories, for finding them in a text whose words alone count, however many categories there are.

    Args:
        meant: keys of the categories by what may be said: a name in singular or plural.
        longest: words of the longest of these.
    """

    meant: Mapping[str, set[str]]
    longest: int

    @classmethod
    def of(cls, names: Mapping[str, str]) -> NameIndex:
        """The index of names of up to 16 words.

        Args:
            names: names of the categories by their keys.
        """
        meant, longest = defaultdict(set), 0
        for key, name in names.items():
            words = name.lower().split(' ')
            if len(words) <= _LONGEST_NAME:
                longest = max(longest, len(words))
                for end in ('', 's', 'es'):
                    meant[f'{name.lower()}{end}'].add(key)
        return cls(meant, longest)

    def said(self, text: str) -> set[str]:
        """Keys of the categories that a text names.

        Args:
            text: a referring expression.
        """
        words = _WORD.findall(text.lower())
        spans = (' '.join(words[start:start + length]) for start in range(len(words))
                 for length in range(1, self.longest + 1))
        return set().union(*(self.meant.get(span, ()) for span in spans))


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


CHANGES: Mapping[str, ExpressionChange] = MappingProxyType({
    'permuted': ExpressionChange('expressions of other images', partners=lambda asked, seed: exchange(
        asked.images, [text.strip().lower() for text in asked.texts], seed)),
    'absent': ExpressionChange('expressions that name nothing there', partners=absent_partners),
    'word-order': ExpressionChange('words shuffled', reword=shuffle_words),
    'places': ExpressionChange('left and right, top and bottom exchanged', reword=swap_places),
    'nouns': ExpressionChange('nouns alone', reword=only_nouns),
    'empty': ExpressionChange('an empty expression', reword=lambda text, generator: ''),
})
"""Ways to ask otherwise by name."""
