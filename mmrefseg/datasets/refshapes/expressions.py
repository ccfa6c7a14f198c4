"""Referring expressions that fit exactly one object of a scene, with a margin."""
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

from .objects_of_phrase import Extension, Thing, above, bits, greatest

T = TypeVar('T')

KINDS = ('attribute', 'location', 'relation', 'superlative')
KIND_WEIGHTS = (0.56, 0.15, 0.2, 0.09)

# Shares of the image's shorter side unless said otherwise: where a word is clearly true and where clearly false.
LARGE = (0.318, 0.288)
SMALL = (0.224, 0.254)
EDGE = (0.36, 0.46)
"""Share of the image's width or height, counted from the named edge."""
MIDDLE = (0.12, 0.22)
"""Share of the image's width and height, counted from the centre."""
ASIDE = (0.12, 0.04)
"""Distance from the anchor in the named direction, which must also be the greater of the two when true."""
LEAD = 0.08
"""Lead of the leftmost, topmost, ... over the next."""
SIZE_LEAD = math.log(1.2)
"""Lead of the biggest and smallest over the next, in the logarithm of the side."""

SIZE_WORDS = {'large': ('large', 'big'), 'small': ('small', 'little')}
ANY_HEADS = ('object', 'shape', 'one')

LOCATIONS = {
    'left': ('{the}left {noun}', '{the}{noun} on the left', '{the}{noun} on the left side'),
    'right': ('{the}right {noun}', '{the}{noun} on the right', '{the}{noun} on the right side'),
    'top': ('{the}top {noun}', '{the}{noun} at the top', '{the}{noun} near the top'),
    'bottom': ('{the}bottom {noun}', '{the}{noun} at the bottom', '{the}{noun} near the bottom'),
    'top left': ('{the}top left {noun}', '{the}{noun} at the top left', '{the}{noun} in the top left corner'),
    'top right': ('{the}top right {noun}', '{the}{noun} at the top right', '{the}{noun} in the top right corner'),
    'bottom left': ('{the}bottom left {noun}', '{the}{noun} at the bottom left',
                    '{the}{noun} in the bottom left corner'),
    'bottom right': ('{the}bottom right {noun}', '{the}{noun} at the bottom right',
                     '{the}{noun} in the bottom right corner'),
    'middle': ('{the}middle {noun}', '{the}{noun} in the middle', '{the}{noun} in the center'),
}
RELATIONS = {
    'left': ('{the}{noun} left of {anchor}', '{the}{noun} to the left of {anchor}'),
    'right': ('{the}{noun} right of {anchor}', '{the}{noun} to the right of {anchor}'),
    'above': ('{the}{noun} above {anchor}', '{the}{noun} that is above {anchor}'),
    'below': ('{the}{noun} below {anchor}', '{the}{noun} under {anchor}'),
}
SUPERLATIVES = {
    'left': ('{the}leftmost {noun}', '{the}{noun} farthest to the left'),
    'right': ('{the}rightmost {noun}', '{the}{noun} farthest to the right'),
    'top': ('{the}topmost {noun}', '{the}highest {noun}'),
    'bottom': ('{the}bottommost {noun}', '{the}lowest {noun}'),
    'biggest': ('{the}biggest {noun}', '{the}largest {noun}'),
    'smallest': ('{the}smallest {noun}', '{the}tiniest {noun}'),
}


class Noun(NamedTuple):
    """A noun phrase without article.

    Args:
        size: 'large' or 'small', if said.
        colour: the colour, if said.
        shape: the shape, if said.
        extension: what it is true of.
    """
    size: str | None
    colour: str | None
    shape: str | None
    extension: Extension

    @property
    def bare(self) -> bool:
        """Whether no attribute is said."""
        return not (self.size or self.colour or self.shape)

    def words(self, rng: np.random.Generator) -> str:
        """The phrase with its size word and head drawn.

        Args:
            rng: source of the choices.
        """
        size = [pick(SIZE_WORDS[self.size], rng)] if self.size else []
        colour = [self.colour] if self.colour else []
        return ' '.join([*size, *colour, self.shape or pick(ANY_HEADS, rng)])


class Candidate(NamedTuple):
    """A way to name one object, not yet worded.

    Args:
        kind: one of ``KINDS``.
        target: index of the object.
        weight: how often it is taken among those of its kind, relative.
        templates: wordings with ``{the}``, ``{noun}`` and perhaps ``{anchor}``.
        noun: the target's noun.
        anchor: the noun of the object it is related to.
    """
    kind: str
    target: int
    weight: float
    templates: tuple[str, ...]
    noun: Noun
    anchor: Noun | None = None

    def text(self, rng: np.random.Generator) -> str:
        """Put the expression into words, chosen at random among those that mean the same.

        Args:
            rng: source of the choices.
        """
        anchor = f'the {self.anchor.words(rng)}' if self.anchor else ''
        the = pick(('the ', ''), rng)
        return pick(self.templates, rng).format(the=the, noun=self.noun.words(rng), anchor=anchor)


def pick(options: Sequence[T], rng: np.random.Generator, weights: list[float] | None = None) -> T:
    """Draw one of several options.

    Args:
        options: what there is to choose from, at least one.
        rng: source of the choice.
        weights: how often each is drawn, relative to the others. Default None: all equally often.
    """
    if weights is None:
        return options[int(rng.random() * len(options))]
    ends = list(accumulate(weights))
    return options[bisect_right(ends, rng.random() * ends[-1])]


def noun_phrases(things: list[Thing]) -> list[Noun]:
    """Every noun phrase that is surely true of something.

    Args:
        things: the scene's objects.
    """
    everything = bits(True for _ in things)
    sizes = {
        None: Extension(everything, everything),
        'large': Extension(bits(t.side >= LARGE[0] for t in things), bits(t.whole >= LARGE[1] for t in things)),
        'small': Extension(bits(t.whole <= SMALL[0] for t in things), bits(t.side <= SMALL[1] for t in things)),
    }
    nouns = []
    for colour in (None, *sorted({thing.colour for thing in things})):
        for shape in (None, *sorted({thing.shape for thing in things})):
            members = bits(colour in (None, t.colour) and shape in (None, t.shape) for t in things)
            for size, extension in sizes.items():
                both = extension.both(Extension(members, members))
                if both.sure:
                    nouns.append(Noun(size, colour, shape, both))
    return nouns


def _attributes(nouns: list[Noun]) -> Iterator[Candidate]:
    plain = ('{the}{noun}',)
    for noun in nouns:
        target = noun.extension.referent
        if target is None or noun.bare:
            continue
        if noun.colour and noun.shape and not noun.size:
            templates = (*3 * plain, f'{{the}}{noun.shape} that is {noun.colour}')
            yield Candidate('attribute', target, 4.0, templates, noun)
        else:
            yield Candidate('attribute', target, 1.5, plain, noun)


def _comparisons(kind: str, extension: Extension, templates: tuple[str, ...], nouns: list[Noun],
                 anchor: Noun | None = None) -> Iterator[Candidate]:
    """Names made of a noun, none of which is enough alone, and a phrase that makes it so."""
    for noun in nouns:
        target = noun.extension.both(extension).referent
        if target is not None:
            yield Candidate(kind, target, 1.0, templates, noun, anchor)


def _locations(things: list[Thing], nouns: list[Noun]) -> Iterator[Candidate]:
    sure, possible = EDGE
    locations = {
        'left': above([-thing.x for thing in things], -sure, -possible),
        'right': above([thing.x for thing in things], 1 - sure, 1 - possible),
        'top': above([-thing.y for thing in things], -sure, -possible),
        'bottom': above([thing.y for thing in things], 1 - sure, 1 - possible),
        'middle': above([-max(abs(thing.x - 0.5), abs(thing.y - 0.5)) for thing in things], -MIDDLE[0], -MIDDLE[1]),
    }
    for row in ('top', 'bottom'):
        for column in ('left', 'right'):
            locations[f'{row} {column}'] = locations[row].both(locations[column])
    for location, extension in locations.items():
        if extension.sure:
            yield from _comparisons('location', extension, LOCATIONS[location], nouns)


def _directed(steps: list[tuple[float, float]]) -> Extension:
    """Objects that lie in a direction; each step is the distance along it and across it."""
    sure = bits(along >= ASIDE[0] and along >= abs(across) for along, across in steps)
    return Extension(sure, bits(along > ASIDE[1] for along, _ in steps))


def directions(things: list[Thing], nouns: list[Noun]) -> Iterator[tuple[Noun, str, Extension]]:
    """Objects that can be told from the others by their shape, and what lies in each direction from them.

    Args:
        things: the scene's objects.
        nouns: noun phrases that may name the object to start from.

    Yields:
        The object's noun, a key of ``RELATIONS``, and what lies there.
    """
    for anchor in nouns:
        index = anchor.extension.referent
        if index is None or anchor.size or not anchor.shape:
            continue
        steps = [(thing.across - things[index].across, thing.down - things[index].down) for thing in things]
        there = {
            'left': _directed([(-right, down) for right, down in steps]),
            'right': _directed(steps),
            'above': _directed([(-down, right) for right, down in steps]),
            'below': _directed([(down, right) for right, down in steps]),
        }
        for relation, extension in there.items():
            if extension.sure:
                yield anchor, relation, extension


def _relations(things: list[Thing], nouns: list[Noun], vague: list[Noun]) -> Iterator[Candidate]:
    for anchor, relation, extension in directions(things, nouns):
        yield from _comparisons('relation', extension, RELATIONS[relation], vague, anchor)


def _negated(ranges: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-high, -low) for low, high in ranges]


def _superlatives(things: list[Thing], nouns: list[Noun]) -> Iterator[Candidate]:
    across = [(thing.across, thing.across) for thing in things]
    down = [(thing.down, thing.down) for thing in things]
    sizes = [(math.log(thing.side), math.log(thing.whole)) for thing in things]
    scales = {
        'left': (_negated(across), LEAD),
        'right': (across, LEAD),
        'top': (_negated(down), LEAD),
        'bottom': (down, LEAD),
        'biggest': (sizes, SIZE_LEAD),
        'smallest': (_negated(sizes), SIZE_LEAD),
    }
    for noun in nouns:
        group = noun.extension.sure
        if group.bit_count() < 2:
            continue
        for scale, (ranges, margin) in scales.items():
            target = greatest(ranges, group, margin)
            if target is not None:
                yield Candidate('superlative', target, 1.0, SUPERLATIVES[scale], noun)


def candidates(things: list[Thing]) -> list[Candidate]:
    """Every unambiguous way to name an object of a scene.

    Args:
        things: the scene's objects.

    Returns:
        In no order that matters; an object may have none.
    """
    nouns = noun_phrases(things)
    sizeless = [noun for noun in nouns if not noun.size]
    vague = [noun for noun in sizeless if noun.extension.referent is None]
    return [*_attributes(nouns), *_locations(things, vague), *_relations(things, sizeless, vague),
            *_superlatives(things, sizeless)]


def describe(things: list[Thing], rng: np.random.Generator) -> list[list[tuple[str, str]]]:
    """Word one to three different expressions for every object that can be named.

    Args:
        things: the scene's objects.
        rng: source of the choices.

    Returns:
        Expression and kind, per object; an empty list where nothing fits it alone.
    """
    ways = [{kind: [] for kind in KINDS} for _ in things]
    for candidate in candidates(things):
        ways[candidate.target][candidate.kind].append(candidate)
    described = []
    for by_kind in ways:
        wanted = int(rng.integers(1, 4))
        texts: dict[str, str] = {}
        for _ in range(wanted):
            kinds = [kind for kind in KINDS if by_kind[kind]]
            if not kinds:
                break
            kind = pick(kinds, rng, [KIND_WEIGHTS[KINDS.index(kind)] for kind in kinds])
            options = by_kind[kind]
            chosen = pick(options, rng, [option.weight for option in options])
            options.remove(chosen)
            texts.setdefault(chosen.text(rng), kind)
        described.append(list(texts.items()))
    return described
