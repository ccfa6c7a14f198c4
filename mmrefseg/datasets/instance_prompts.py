"""Prompts for the instances of data sets that have no expressions."""
from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from mmengine.logging import print_log

from mmrefseg.utils.field_checks import key_of

from .base_referring_dataset import BaseReferringDataset


class Instance(NamedTuple):
    """An object of an image.

    Args:
        category: what it is, in words.
        x: centre of its box, as a share of the image's width.
        y: the same of the image's height.
        size: share of the image's pixels that it covers.
        crowd: whether it is several objects that nobody told apart.
        referent: what a referent holds, but for ``sentences``.
    """

    category: str
    x: float
    y: float
    size: float
    crowd: bool
    referent: dict


class _Word(NamedTuple):
    """A word about a measure of an instance, and where it fits: for sure, and with some good will."""

    measure: str
    clear: tuple[float, float]
    possible: tuple[float, float]


_WORDS = {
    'left': _Word('x', (0, 1 / 3), (0, 0.45)),
    'middle': _Word('x', (0.4, 0.6), (0.3, 0.7)),
    'right': _Word('x', (2 / 3, 1), (0.55, 1)),
    'top': _Word('y', (0, 1 / 3), (0, 0.45)),
    'centre': _Word('y', (0.4, 0.6), (0.3, 0.7)),
    'bottom': _Word('y', (2 / 3, 1), (0.55, 1)),
    'large': _Word('size', (0.15, 1), (0.08, 1)),
    'small': _Word('size', (0, 0.02), (0, 0.04)),
}
# What a prompt may say, and the words which that asserts; the first that is clear is said.
_SIZES = {'large': ('large', ), 'small': ('small', ), '': ()}
_LOCATIONS = {
    'at the top left': ('top', 'left'),
    'at the top right': ('top', 'right'),
    'at the bottom left': ('bottom', 'left'),
    'at the bottom right': ('bottom', 'right'),
    'in the middle': ('middle', 'centre'),
    'on the left': ('left', ),
    'on the right': ('right', ),
    'at the top': ('top', ),
    'at the bottom': ('bottom', ),
    '': (),
}


def make_prompt(instance: Instance, others: Sequence[Instance]) -> tuple[str, str] | None:
    """A prompt from an instance's category, size and place: "the large dog on the left".

    It says all that is clear: "large" from 15 % of the image's pixels on, "small" up to 2 %; for the place, the centre
    of the box counts: the outer third on a side for "left", "right", "top" and "bottom" (two of them at a corner), and
    40 % to 60 % both ways for "in the middle". What is in between is not said.

    The prompt must fit no other instance of the category, even if its words are taken less strictly, as people do
    ("large" from 8 %, "small" up to 4 %, 45 % from a side, 30 % to 70 % for "in the middle"). If it does, there is no
    prompt: as it says all that can be said, a shorter one would fit that other instance, too.

    Args:
        instance: what is asked for.
        others: all other instances of its category in the image.

    Returns:
        The prompt and its kind (``'location'`` with a place, else ``'attribute'``), or None if it would be ambiguous.
    """
    size = next(text for text, words in _SIZES.items() if _fits(instance, words, 'clear'))
    location = next(text for text, words in _LOCATIONS.items() if _fits(instance, words, 'clear'))
    if any(other.crowd or _fits(other, _SIZES[size] + _LOCATIONS[location], 'possible') for other in others):
        return None
    text = ' '.join(part for part in ('the', size, instance.category, location) if part)
    return text, 'location' if location else 'attribute'


def _fits(instance: Instance, words: Sequence[str], how: str) -> bool:
    for word in map(_WORDS.__getitem__, words):
        low, high = getattr(word, how)
        if not low <= getattr(instance, word.measure) <= high:
            return False
    return True


class InstancePromptDataset(BaseReferringDataset):
    """Instances of a data set without expressions, each asked for by a prompt of :func:`make_prompt`.

    Instances without an unambiguous prompt are left out, and so are crowds and, in their images, all of their
    category; how many, is logged. An instance has one expression, whose ``sent_id`` is its ``ref_id``.
    """

    IGNORE_ORIENTATION = True

    @abstractmethod
    def load_instances(self) -> list[Instance]:
        """Parse the files of the data set: all instances of the split, crowds included."""

    def object_categories(self) -> tuple[dict[str, str], dict[str, set[str]]]:
        """Categories of all instances of the split."""
        names: dict[str, str] = {}
        on_image: dict[str, set[str]] = defaultdict(set)
        for instance in self.load_instances():
            category = key_of(instance.referent['category_id'])
            names[category] = instance.category
            on_image[key_of(instance.referent['image_id'])].add(category)
        return names, dict(on_image)

    def load_referents(self) -> list[dict]:
        """Make the prompts: one referent per instance that a prompt fits alone."""
        groups = defaultdict(list)
        for instance in self.load_instances():
            groups[key_of(instance.referent['image_id']), instance.category].append(instance)
        referents = []
        for group in groups.values():
            for i, instance in enumerate(group):
                prompt = None if instance.crowd else make_prompt(instance, group[:i] + group[i + 1:])
                if prompt:
                    sentence = dict(zip(('text', 'kind'), prompt, strict=True), sent_id=instance.referent['ref_id'])
                    referents.append({**instance.referent, 'sentences': [sentence]})
        number = sum(map(len, groups.values()))
        print_log(f'{self.title} {self.split}: {number - len(referents)} of {number} instances left out: crowds, and '
                  'those whose prompt would fit another one', 'current')
        return referents
