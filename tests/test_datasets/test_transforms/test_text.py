from itertools import permutations

import numpy as np
import pytest

from mmrefseg.datasets import ConcatSentences, DropExpression, SampleSentence
from mmrefseg.datasets.transforms import swap_left_right
from mmrefseg.datasets.transforms.text import sides_are_clear


@pytest.mark.parametrize('text, swapped', [
    ('the man on the left', 'the man on the right'),
    ('right of the left cup', 'left of the right cup'),
    ('Left guy, RIGHT hand', 'Right guy, LEFT hand'),
    ('leftmost and Rightmost', 'rightmost and Leftmost'),
    ('LEFTMOST', 'RIGHTMOST'),
    ('left-hand side, right-most', 'right-hand side, left-most'),
    ('lefthand rightside left-handed', 'righthand leftside right-handed'),
    ('leftward rightwards', 'rightward leftwards'),
    ("left's (right) left,right.", "right's (left) right,left."),
    ('🐕 left', '🐕 right'),
    ("man at 3 o'clock, 12 oclock, 11 o clock", "man at 9 o'clock, 12 oclock, 1 o clock"),
    ("nine o'clock Two o’clock SIX O'CLOCK", "three o'clock Ten o’clock SIX O'CLOCK"),
    ('9:00 12:00, 10:00', '3:00 12:00, 2:00'),
    ('topleft Bottomright lft RT rhs', 'topright Bottomleft rt LFT lhs'),
    ('north-east west southwest', 'north-west east southeast'),
    ('on the right next to the door', 'on the left next to the door'),
    ('top right behind him, rightmost under it', 'top left behind him, leftmost under it'),
    ('', ''),
])
def test_swap_left_right(text, swapped):
    assert swap_left_right(text) == swapped
    assert swap_left_right(swapped) == text


@pytest.mark.parametrize('word', ['bright', 'leftover', 'copyright', 'upright', 'righteous', 'cleft', 'lefty'])
def test_words_that_only_contain_a_side_stay(word):
    assert swap_left_right(f'the {word} thing') == f'the {word} thing'


@pytest.mark.parametrize('text', [
    'right next to the door', 'man Right behind him', 'the one RIGHT THERE', 'right in front of us',
    'left next to the door', 'the man who left', 'one that left', 'all right', 'lEFT one', "nINE o'clock", '9:30',
    '3:00:15', '13:00'])
def test_what_may_be_no_side_stays_and_is_told(text):
    assert swap_left_right(text) == text
    assert not sides_are_clear(text)
    assert not sides_are_clear(f'left car, {text}')


@pytest.mark.parametrize('text', ['', 'red car', 'left car', 'bright leftover', 'two on the right next to it', '3:00',
                                  'clock', "number 3 at 9 o'clock", 'topright'])
def test_clear_sides(text):
    assert sides_are_clear(text) and sides_are_clear(swap_left_right(text))


def _ref(count: int) -> dict:
    return {'ref_id': 1, 'sentences': [{'text': f't{i}', 'sent_id': i, 'kind': f'k{i}'} for i in range(count)]}


def test_one_sentence_is_drawn_whole():
    assert SampleSentence()(_ref(1)) == {'ref_id': 1, 'text': 't0', 'sent_id': 0, 'kind': 'k0'}
    drawn = SampleSentence()(_ref(5))
    assert drawn['text'] == f't{drawn["sent_id"]}'
    assert drawn['kind'] == f'k{drawn["sent_id"]}'


def test_every_sentence_is_drawn_equally_often():
    np.random.seed(0)
    counts = np.bincount([SampleSentence()(_ref(4))['sent_id'] for _ in range(4000)], minlength=4)
    assert counts.min() > 900


def test_draw_follows_numpys_seed():
    def draw():
        np.random.seed(5)
        return [SampleSentence()(_ref(9))['sent_id'] for _ in range(20)]
    assert draw() == draw()


def test_needs_sentences():
    with pytest.raises(ValueError, match="unit='ref'"):
        SampleSentence()({'text': 'a'})


def test_sentences_are_joined_in_any_order():
    np.random.seed(0)
    joined = [ConcatSentences()(_ref(3)) for _ in range(60)]
    assert {results['text'] for results in joined} == {'. '.join(order) for order in permutations(['t0', 't1', 't2'])}
    for results in joined:
        assert set(results) == {'ref_id', 'text', 'sent_id', 'kind'}
        assert results['text'].startswith(f't{results["sent_id"]}')
        assert results['kind'] == ''


def test_some_sentences_are_joined():
    np.random.seed(0)
    texts = [ConcatSentences(2, ' | ')(_ref(4))['text'].split(' | ') for _ in range(60)]
    assert all(len(set(text)) == 2 for text in texts)
    assert {name for text in texts for name in text} == {'t0', 't1', 't2', 't3'}
    assert ConcatSentences(2)(_ref(1))['text'] == 't0'


@pytest.mark.parametrize('number', [0, -1])
def test_at_least_one_sentence(number):
    with pytest.raises(ValueError, match='max_sentences must be None or at least 1'):
        ConcatSentences(number)


def test_joining_needs_sentences():
    with pytest.raises(ValueError, match="ConcatSentences needs 'sentences'"):
        ConcatSentences()({'text': 'a'})


def test_expression_is_dropped_as_often_as_asked():
    np.random.seed(0)
    drop = DropExpression(0.2)
    results = [drop({'text': 'left cup', 'kind': 'location', 'sent_id': 4}) for _ in range(1000)]
    dropped = [result for result in results if result == {'text': '', 'kind': '', 'sent_id': 4}]
    assert 150 < len(dropped) < 250
    assert all(result['text'] == 'left cup' for result in results if result not in dropped)


@pytest.mark.parametrize('prob', [-0.1, 1.5])
def test_drop_needs_a_chance(prob):
    with pytest.raises(ValueError, match='prob must lie between 0 and 1'):
        DropExpression(prob)
