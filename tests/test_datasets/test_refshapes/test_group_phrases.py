"""Every phrase fits the objects it is about and no other, by an independent reading of its words."""
import re
from collections import Counter

import numpy as np
import pytest

from mmrefseg.datasets.refshapes import COLOURS, SHAPES
from mmrefseg.datasets.refshapes.group_phrases import describe_groups, groups_of
from mmrefseg.datasets.refshapes.objects_of_phrase import Thing
from mmrefseg.datasets.refshapes.picture import PictureTask, draw_picture

# Thresholds of this reading lie in the middle of the bands in which RefShapes leaves a word unsaid.
NUMBERS = ('two', 'three', 'four', 'five', 'six')
PATTERN = re.compile(
    r'(?:the )?(?:(?P<number>all|{numbers}) )?(?:(?P<size>large|big|small|little) )?(?:(?P<colour>{colours}) )?'
    r'(?P<head>{shapes}|object|shape)(?P<plural>e?s)?'
    r'(?: (?P<relation>left of|right of|to the left of|to the right of|above|below|under) the '
    r'(?:(?P<anchor_colour>{colours}) )?(?P<anchor_head>{shapes}))?'.format(
        numbers='|'.join(NUMBERS), colours='|'.join(COLOURS), shapes='|'.join(SHAPES)))


class Seen:
    """One object measured on what is visible of it."""

    def __init__(self, shape, colour, mask):
        rows, columns = np.nonzero(mask)
        self.unit = min(mask.shape)
        self.shape, self.colour = shape, colour
        self.column, self.row = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
        self.side = len(rows) ** 0.5 / self.unit

    def is_called(self, size, colour, head):
        size = {'big': 'large', 'little': 'small'}.get(size, size)
        fits = {None: True, 'large': self.side > 0.302, 'small': self.side < 0.24}[size]
        return fits and colour in (None, self.colour) and head in (self.shape, 'object', 'shape')

    def is_beside(self, relation, anchor):
        right, down = (self.column - anchor.column) / self.unit, (self.row - anchor.row) / self.unit
        steps = {'left of': -right, 'right of': right, 'above': -down, 'below': down, 'under': down}
        return steps[relation.removeprefix('to the ')] > 0.08


def read(text, objects):
    """Indices of the objects that a phrase fits."""
    words = PATTERN.fullmatch(text).groupdict()
    fitting = [index for index, seen in enumerate(objects)
               if seen.is_called(words['size'], words['colour'], words['head'])]
    if words['relation']:
        [anchor] = [seen for seen in objects if seen.is_called(None, words['anchor_colour'], words['anchor_head'])]
        fitting = [index for index in fitting if objects[index].is_beside(words['relation'], anchor)]
    assert bool(words['plural']) == (len(fitting) > 1)
    if words['number'] in NUMBERS:
        assert len(fitting) == 2 + NUMBERS.index(words['number'])
    return tuple(fitting)


@pytest.mark.parametrize('image_size', [(112, 112), (160, 96)])
def test_every_phrase_fits_its_objects_alone(image_size):
    numbers, kinds, texts = Counter(), Counter(), 0
    for index in range(60):
        drawing = draw_picture(PictureTask(5, 'test', index, image_size))
        objects = [Seen(item.shape, item.colour, drawing.scene.labels == label)
                   for label, item in enumerate(drawing.scene.items)]
        phrases = describe_groups(drawing.things, drawing.rng)
        assert len({phrase.text for phrase in phrases}) == len(phrases) <= 5
        for phrase in phrases:
            assert read(phrase.text, objects) == phrase.targets, (index, phrase)
            numbers[len(phrase.targets)] += 1
            kinds[phrase.structure['type']] += 1
            texts += 1
    assert texts >= 150
    assert 0.35 < 1 - numbers[1] / texts < 0.6
    assert numbers.keys() >= {1, 2, 3}
    assert kinds.keys() == {'name', 'attribute', 'relation'}


def test_structure_says_what_the_text_says():
    """Put together as PhraseCut does: attributes before the name, the first of them next to it."""
    for index in range(40):
        drawing = draw_picture(PictureTask(5, 'val', index, (112, 112)))
        for phrase in describe_groups(drawing.things, drawing.rng):
            structure = phrase.structure
            words = [*structure['attributes'][::-1], structure['name']]
            for relation, anchor in structure['relation_descriptions']:
                words += [relation, 'the', anchor]
            assert ' '.join(words) == phrase.text.removeprefix('the ')
            assert (structure['type'] == 'relation') == bool(structure['relation_descriptions'])


def thing(shape, colour, x, side=0.27):
    return Thing(shape, colour, x, 0.5, x, 0.5, side, side)


def named(things):
    return {(group.members, group.noun[:3], group.relation, group.anchor and group.anchor[:3])
            for group in groups_of(things)}


def test_groups_of_a_hand_made_scene():
    things = [thing('star', 'red', 0.2), thing('star', 'red', 0.5), thing('circle', 'red', 0.8)]
    circle, red_circle = (None, None, 'circle'), (None, 'red', 'circle')
    plain = {
        (0b011, (None, None, 'star'), None, None), (0b011, (None, 'red', 'star'), None, None),
        (0b111, (None, 'red', None), None, None), (0b100, circle, None, None), (0b100, red_circle, None, None)}
    left = {(0b011, noun, 'left', anchor) for noun in ((None, None, None), (None, 'red', None))
            for anchor in (circle, red_circle)}
    assert named(things) == plain | left


@pytest.mark.parametrize('side, is_named', [(0.30, False), (0.32, True), (0.28, True)])
def test_doubtful_sizes_are_left_unsaid(side, is_named):
    sizes = {(members, noun) for members, noun, *_ in named([thing('star', 'red', 0.2, 0.35),
                                                             thing('star', 'red', 0.8, side)]) if noun[0]}
    assert bool(sizes) == is_named
    assert all(members == (0b11 if side > 0.3 else 0b01) for members, _ in sizes)
