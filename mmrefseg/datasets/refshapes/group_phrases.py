"""Phrases that fit one or several objects of a scene and no other, with a margin."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .expressions import SIZE_WORDS, Noun, directions, noun_phrases, pick
from .objects_of_phrase import Extension, Thing

NUMBERS = ('none', 'one', 'two', 'three', 'four', 'five', 'six')
HEADS = ('object', 'shape')
RELATION_WORDS = {
    'left': ('left of', 'to the left of'),
    'right': ('right of', 'to the right of'),
    'above': ('above', ),
    'below': ('below', 'under'),
}
PLURAL_SHARE = 0.5
"""How often several objects are named where both are possible."""
RELATION_SHARE = 0.3
"""How often a phrase with a relation is taken where both are possible."""


class Phrase(NamedTuple):
    """A phrase in PhraseCut's terms.

    Args:
        text: the phrase.
        targets: indices of the objects it fits, all of them.
        structure: ``name``, ``attributes`` (from the noun outwards), ``relation_ids``, ``relation_descriptions`` and
            ``type``; articles are left out.
    """
    text: str
    targets: tuple[int, ...]
    structure: dict


class Group(NamedTuple):
    """Objects that can be named together, not yet worded.

    Args:
        members: bit i is set for object i.
        noun: what each of them is.
        relation: key of ``RELATION_WORDS``, if one is needed.
        anchor: what they are related to.
    """
    members: int
    noun: Noun
    relation: str | None = None
    anchor: Noun | None = None

    def phrase(self, rng: np.random.Generator) -> Phrase:
        """Put the phrase into words, chosen at random among those that mean the same.

        Args:
            rng: source of the choices.
        """
        number = self.members.bit_count()
        name = self.noun.shape or pick(HEADS, rng)
        attributes = [self.noun.colour] if self.noun.colour else []
        if self.noun.size:
            attributes.append(pick(SIZE_WORDS[self.noun.size], rng))
        kind = 'relation' if self.relation else 'attribute' if attributes else 'name'
        article = pick(('', 'the '), rng)
        if number > 1:
            name += 'es' if name.endswith('s') else 's'
            attributes += pick(([], ['all'], [NUMBERS[number]]), rng)
            if 'all' in attributes:
                article = ''
        relations = []
        if self.relation:
            relations = [[pick(RELATION_WORDS[self.relation], rng), ' '.join(
                filter(None, (self.anchor.colour, self.anchor.shape)))]]
        words = [*reversed(attributes), name, *(f'{relation} the {anchor}' for relation, anchor in relations)]
        structure = {'name': name, 'attributes': attributes, 'relation_ids': list(range(len(relations))),
                     'relation_descriptions': relations, 'type': kind}
        targets = tuple(index for index in range(self.members.bit_length()) if self.members >> index & 1)
        return Phrase(article + ' '.join(words), targets, structure)


def _is_certain(extension: Extension) -> bool:
    return extension.sure == extension.possible != 0


def groups_of(things: list[Thing]) -> list[Group]:
    """Every unambiguous way to name one or several objects of a scene.

    Args:
        things: the scene's objects.

    Returns:
        In no order that matters.
    """
    nouns = noun_phrases(things)
    groups = [Group(noun.extension.sure, noun) for noun in nouns if _is_certain(noun.extension) and not noun.bare]
    sizeless = [noun for noun in nouns if not noun.size]
    for anchor, relation, there in directions(things, sizeless):
        for noun in sizeless:
            both = noun.extension.both(there)
            if _is_certain(both) and both != noun.extension:
                groups.append(Group(both.sure, noun, relation, anchor))
    return groups


def describe_groups(things: list[Thing], rng: np.random.Generator) -> list[Phrase]:
    """Word two to five different phrases of a scene, fewer where there are not so many.

    Args:
        things: the scene's objects.
        rng: source of the choices.

    Returns:
        The phrases, about half of them of several objects.
    """
    left = groups_of(things)
    phrases: dict[str, Phrase] = {}
    for _ in range(int(rng.integers(2, 6))):
        plural, related = rng.random() < PLURAL_SHARE, rng.random() < RELATION_SHARE
        options = [group for group in left if (group.members.bit_count() > 1) == plural] or left
        options = [group for group in options if bool(group.relation) == related] or options
        if not options:
            break
        group = pick(options, rng)
        left.remove(group)
        phrase = group.phrase(rng)
        phrases.setdefault(phrase.text, phrase)
    return list(phrases.values())
