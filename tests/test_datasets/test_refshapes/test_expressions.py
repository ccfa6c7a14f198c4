"""Every expression fits one object alone, by an independent reading of its words."""
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mmrefseg.datasets.refshapes import COLOURS, SHAPES
from mmrefseg.datasets.refshapes.expressions import KINDS, candidates, describe
from mmrefseg.datasets.refshapes.objects_of_phrase import Extension, Thing, above, greatest
from mmrefseg.datasets.refshapes.picture import PictureTask, make_picture
from mmrefseg.datasets.refshapes.scene import sample_scene

# Thresholds of this reading lie in the middle of the bands in which RefShapes leaves a word unsaid.

NOUN = (r'(?:(?P<size>large|big|small|little) )?(?:(?P<colour>{colours}) )?(?P<head>{shapes}|object|shape|one)'
        r'(?: that is (?P<late_colour>{colours}))?').format(colours='|'.join(COLOURS), shapes='|'.join(SHAPES))
PLACE = r'(?P<place>(?:top |bottom )?(?:left|right)|top|bottom|middle|center)'
SUPERLATIVE = r'(?P<best>leftmost|rightmost|topmost|highest|bottommost|lowest|biggest|largest|smallest|tiniest)'
ANCHOR = NOUN.replace('?P<', '?P<anchor_')
READINGS = [re.compile(pattern) for pattern in (
    NOUN,
    f'{PLACE} {NOUN}',
    f'{NOUN} (?:on|at|in|near) the {PLACE}(?: side| corner)?',
    f'{NOUN} (?:that is )?(?:to the )?(?P<relation>left of|right of|above|below|under) the {ANCHOR}',
    f'{SUPERLATIVE} {NOUN}',
    f'{NOUN} farthest to the (?P<best>left|right)',
)]


def tasks(split: str, number: int, image_size: tuple[int, int] = (112, 112)) -> list[PictureTask]:
    return [PictureTask(5, split, index, image_size) for index in range(number)]


class Seen:
    """One object measured on its decoded mask."""

    def __init__(self, shape: str, colour: str, mask: np.ndarray) -> None:
        height, width = mask.shape
        rows, columns = np.nonzero(mask)
        self.shape, self.colour = shape, colour
        self.column, self.row = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
        self.x, self.y = self.column / width, self.row / height
        self.side = len(rows) ** 0.5 / min(height, width)

    def is_called(self, size: str | None, colour: str | None, head: str) -> bool:
        fits = {None: True, 'large': self.side > 0.302, 'small': self.side < 0.24}
        size = {'big': 'large', 'little': 'small'}.get(size, size)
        return fits[size] and colour in (None, self.colour) and head in (self.shape, 'object', 'shape', 'one')

    def is_at(self, place: str) -> bool:
        if place in ('middle', 'center'):
            return max(abs(self.x - 0.5), abs(self.y - 0.5)) < 0.17
        holds = {'left': self.x < 0.41, 'right': self.x > 0.59, 'top': self.y < 0.41, 'bottom': self.y > 0.59}
        return all(holds[word] for word in place.split())

    def is_beside(self, relation: str, anchor: 'Seen', unit: int) -> bool:
        right, down = (self.column - anchor.column) / unit, (self.row - anchor.row) / unit
        steps = {'left of': -right, 'right of': right, 'above': -down, 'below': down, 'under': down}
        return steps[relation] > 0.08


EXTREMES = {
    **dict.fromkeys(('leftmost', 'left'), lambda seen: -seen.column),
    **dict.fromkeys(('rightmost', 'right'), lambda seen: seen.column),
    **dict.fromkeys(('topmost', 'highest'), lambda seen: -seen.row),
    **dict.fromkeys(('bottommost', 'lowest'), lambda seen: seen.row),
    **dict.fromkeys(('biggest', 'largest'), lambda seen: seen.side),
    **dict.fromkeys(('smallest', 'tiniest'), lambda seen: -seen.side),
}


def read(text: str, objects: list[Seen], unit: int) -> list[int]:
    """Indices of the objects that an expression fits."""
    [words] = [match.groupdict() for reading in READINGS if (match := reading.fullmatch(text.removeprefix('the ')))]
    called = [index for index, seen in enumerate(objects)
              if seen.is_called(words['size'], words['colour'] or words['late_colour'], words['head'])]
    if place := words.get('place'):
        return [index for index in called if objects[index].is_at(place)]
    if relation := words.get('relation'):
        [anchor] = [seen for seen in objects if seen.is_called(None, words['anchor_colour'], words['anchor_head'])]
        return [index for index in called if objects[index].is_beside(relation, anchor, unit)]
    if best := words.get('best'):
        assert len(called) > 1
        ranked = sorted(called, key=lambda index: EXTREMES[best](objects[index]))
        assert EXTREMES[best](objects[ranked[-1]]) > EXTREMES[best](objects[ranked[-2]])
        return ranked[-1:]
    return called


@pytest.mark.parametrize('split, image_size', [('train', (112, 112)), ('testA', (160, 96)), ('testB', (64, 112))])
def test_every_expression_fits_its_object_alone(split, image_size):
    kinds = Counter()
    for task in tasks(split, 60, image_size):
        scene, picture = sample_scene(task.split, task.image_size, task.rng()), make_picture(task)
        objects = [Seen(item.shape, item.colour, scene.labels == index) for index, item in enumerate(scene.items)]
        for index, entry in enumerate(picture.objects):
            for sentence in entry.sentences:
                assert read(sentence.sent, objects, min(image_size)) == [index], (task, sentence)
                kinds[sentence.kind] += 1
    assert kinds.keys() == set(KINDS)


def thing(shape: str, colour: str, x: float, y: float, side: float = 0.27, whole: float | None = None) -> Thing:
    return Thing(shape, colour, x, y, x, y, side, whole or side)


def named(things: list[Thing], kind: str) -> set[tuple[int, str]]:
    """Every way of a kind to name the objects: target and text, without article, 'object' for any other such head."""
    rng = np.random.default_rng(0)
    ways = set()
    for candidate in candidates(things):
        if candidate.kind == kind:
            for template in candidate.templates:
                text = candidate._replace(templates=(template,)).text(rng)
                ways.add((candidate.target, re.sub(r'\b(one|shape)\b', 'object', text.removeprefix('the '))))
    return ways


def test_attributes_of_a_hand_made_scene():
    things = [thing('star', 'red', 0.2, 0.5), thing('star', 'blue', 0.5, 0.5), thing('circle', 'red', 0.8, 0.5)]
    assert named(things, 'attribute') == {
        (0, 'red star'), (0, 'star that is red'), (1, 'blue star'), (1, 'star that is blue'), (1, 'blue object'),
        (2, 'red circle'), (2, 'circle that is red'), (2, 'circle')}


def test_size_words_keep_out_of_doubt():
    clear = [thing('star', 'red', 0.2, 0.5, side=0.328), thing('star', 'red', 0.8, 0.5, side=0.278)]
    assert {target for target, _ in named(clear, 'attribute')} == {0}
    doubtful = [clear[0], thing('star', 'red', 0.8, 0.5, side=0.302)]
    assert named(doubtful, 'attribute') == set()
    half_hidden = [clear[0], thing('star', 'red', 0.8, 0.5, side=0.278, whole=0.328)]
    assert named(half_hidden, 'attribute') == set()


@pytest.mark.parametrize('other_x, is_named', [(0.40, False), (0.45, False), (0.47, True)])
def test_places_keep_out_of_doubt(other_x, is_named):
    things = [thing('star', 'red', 0.2, 0.5), thing('star', 'red', other_x, 0.5)]
    assert ((0, 'star on the left') in named(things, 'location')) == is_named


@pytest.mark.parametrize('x, y, is_named', [(0.3, 0.5, True), (0.42, 0.5, False), (0.3, 0.8, False)])
def test_relations_keep_out_of_doubt(x, y, is_named):
    things = [thing('star', 'red', x, y), thing('circle', 'red', 0.5, 0.5), thing('star', 'red', 0.7, 0.5)]
    assert ((0, 'star left of the circle') in named(things, 'relation')) == is_named


@pytest.mark.parametrize('x, side, expected', [(0.3, 0.25, {'leftmost star', 'biggest star'}),
                                               (0.45, 0.25, {'biggest star'}), (0.3, 0.23, {'leftmost star'})])
def test_superlatives_need_a_lead(x, side, expected):
    things = [thing('star', 'red', x, 0.5, side), thing('star', 'red', 0.5, 0.5, 0.2)]
    texts = {text for target, text in named(things, 'superlative') if target == 0}
    assert texts & {'leftmost star', 'biggest star'} == expected


def test_nothing_to_say_of_look_alikes_in_one_place():
    things = [thing('star', 'red', 0.5, 0.5), thing('star', 'red', 0.52, 0.52)]
    assert describe(things, np.random.default_rng(0)) == [[], []]


def test_expressions_survive_a_flip():
    swap = {'left': 'right', 'right': 'left', 'leftmost': 'rightmost', 'rightmost': 'leftmost'}
    rng = np.random.default_rng(3)
    for _ in range(10):
        things = [thing(SHAPES[rng.integers(2)], tuple(COLOURS)[rng.integers(2)], *rng.uniform(0.1, 0.9, 2),
                        rng.uniform(0.13, 0.31)) for _ in range(5)]
        flipped = [replace(entry, x=1 - entry.x, across=1 - entry.across) for entry in things]
        for kind in KINDS:
            expected = {(target, ' '.join(swap.get(word, word) for word in text.split()))
                        for target, text in named(things, kind)}
            assert {(t, w) for t, w in named(flipped, kind)} == expected


def test_extension_and_greatest():
    assert above([0.1, 0.3, 0.5], sure=0.4, possible=0.2) == Extension(0b100, 0b110)
    assert Extension(0b100, 0b110).referent is None
    assert Extension(0b100, 0b110).both(Extension(0b101, 0b101)).referent == 2
    assert greatest([(1.0, 1.0), (3.0, 3.0), (9.0, 9.0)], group=0b011, margin=2.0) == 1
    assert greatest([(1.0, 1.5), (3.0, 3.0)], group=0b011, margin=2.0) is None
