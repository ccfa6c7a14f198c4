import numpy as np
import pytest

from mmrefseg.datasets import SampleSentence
from mmrefseg.datasets.transforms import swap_left_right


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
    ('', ''),
])
def test_swap_left_right(text, swapped):
    assert swap_left_right(text) == swapped
    assert swap_left_right(swapped) == text


@pytest.mark.parametrize('word', ['bright', 'leftover', 'copyright', 'upright', 'righteous', 'cleft', 'lefty'])
def test_words_that_only_contain_a_side_stay(word):
    assert swap_left_right(f'the {word} thing') == f'the {word} thing'


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
