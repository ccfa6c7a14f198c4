"""Letterboxes, stretching, flips and crops, whatever the size of the picture."""
import cv2
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrefseg.datasets import FlipReferring, Letterbox, RandomLetterbox, RandomReferentCrop, Stretch
from mmrefseg.datasets.transforms.geometry import FastLetterbox
from mmrefseg.datasets.transforms.text import sides_are_clear, swap_left_right

SQUARES = [Letterbox, FastLetterbox, RandomLetterbox, Stretch]
SIDES, SIZES, SEEDS = st.integers(6, 60), st.integers(6, 80), st.integers(0, 2**32 - 1)


def _coordinates(height: int, width: int) -> np.ndarray:
    """(H, W, 3); a pixel's channels are four times its x and its y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([4 * x, 4 * y, 0 * x], axis=2).astype(np.uint8)


def _warp(kind: type, height: int, width: int, size: int, seed: int, mask: np.ndarray) -> tuple[dict, np.ndarray]:
    """What the transform returns, and where in the picture each pixel of the square comes from: (size, size, 2)."""
    np.random.seed(seed)
    results = kind(size)({'img': _coordinates(height, width), 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map']})
    y, x = np.mgrid[:size, :size]
    return results, np.stack([x, y, np.ones_like(x)], axis=2) @ cv2.invertAffineTransform(results['warp_matrix']).T


@pytest.mark.parametrize('kind', SQUARES)
@given(height=SIDES, width=SIDES, size=SIZES, seed=SEEDS)
def test_every_pixel_back_within_half_a_pixel(kind, height, width, size, seed):
    results, origin = _warp(kind, height, width, size, seed, np.zeros((height, width), np.uint8))
    # The cubic kernel reaches two pixels far, and mixes the border's colour in.
    inside = ((origin > 1.5) & (origin < np.array([width, height]) - 2.5)).all(axis=2)
    back = results['img'][..., :2] / 4
    assert np.abs(back - origin)[inside].max(initial=0) <= 0.5


@pytest.mark.parametrize('kind', SQUARES)
@given(height=SIDES, width=SIDES, size=SIZES, seed=SEEDS, data=st.data())
def test_mask_goes_where_the_image_goes(kind, height, width, size, seed, data):
    column = data.draw(st.integers(1, width - 1))
    mask = np.zeros((height, width), np.uint8)
    mask[:, column:] = 1
    results, origin = _warp(kind, height, width, size, seed, mask)
    inside = ((origin > 0) & (origin < np.array([width, height]) - 1)).all(axis=2)
    # OpenCV's nearest neighbour is the one of a pixel's left end, not of its middle.
    shift = width / size / 2 if kind is Stretch else 0
    clear = inside & (np.abs(origin[..., 0] - (column - 0.5)) > 1 + shift)
    assert np.array_equal(results['gt_seg_map'][clear], origin[clear][:, 0] > column)
    outside = ((origin < -1) | (origin > np.array([width, height]))).any(axis=2)
    assert not results['gt_seg_map'][outside].any()


@pytest.mark.parametrize('kind', SQUARES)
@given(height=st.integers(1, 4000), width=st.integers(1, 4000), size=st.integers(1, 1000))
def test_points_there_and_back(kind, height, width, size):
    forward = kind(size).matrix(height, width)
    points = np.array([[0, width - 1, width / 3], [0, height - 1, height / 7], [1, 1, 1]])
    in_square = forward @ points
    back = cv2.invertAffineTransform(forward) @ np.vstack([in_square, points[2:]])
    assert np.abs(back - points[:2]).max() < 1e-6
    assert (in_square > -1).all() and (in_square < size).all()


WORDS = st.sampled_from([
    'left', 'right', 'leftmost', 'right-hand', 'leftside', 'rightwards', 'bright', 'leftover', 'topleft', 'rt', 'lhs',
    'northwest', "nine o'clock", '3 oclock', '10:00', '1:30', 'next', 'behind', 'who', 'on', 'the', 'all', "right's",
    'left,', '(right)', '🐕', '']) | st.one_of(
        st.text(max_size=5), st.text("0123:o'clk", max_size=9), st.text('leftſıKİ', max_size=5))
CASES = st.sampled_from([str, str.upper, str.capitalize, str.title, lambda word: word.capitalize().swapcase()])
TEXTS = st.lists(st.tuples(WORDS, CASES, st.sampled_from([' ', ' ', '', '-', ':', '\n'])), max_size=8).map(
    lambda words: ''.join(change(word) + gap for word, change, gap in words))


@settings(max_examples=500)
@given(TEXTS)
def test_sides_exchanged_twice_stay(text):
    assert swap_left_right(swap_left_right(text)) == text
    assert sides_are_clear(swap_left_right(text)) == sides_are_clear(text)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))), TEXTS, st.data())
def test_two_flips_are_none(img, text, data):
    mask = data.draw(arrays.arrays(np.uint8, img.shape[:2], elements=st.integers(0, 1)))
    sample = {'img': img, 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map'], 'text': text}
    once = FlipReferring(1.0)(dict(sample))
    twice = FlipReferring(1.0)(dict(once))
    step = -1 if sides_are_clear(text) else 1
    assert once['flip'] is (step == -1)
    assert np.array_equal(once['img'], img[:, ::step]) and np.array_equal(once['gt_seg_map'], mask[:, ::step])
    assert np.array_equal(twice['img'], img) and np.array_equal(twice['gt_seg_map'], mask)
    assert twice['text'] == text


@given(SIDES, SIDES, SEEDS, st.sampled_from(['red car', 'car on the left', 'top', 'biggest car', 'second car']),
       st.data())
def test_crops(height, width, seed, text, data):
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 1
    whole = _coordinates(height, width)
    np.random.seed(seed)
    results = RandomReferentCrop((0.01, 1))(
        {'img': whole, 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map'], 'text': text})
    x, y = (results['img'][0, 0, :2] // 4).astype(int)
    rows, columns = results['img'].shape[:2]
    assert rows and columns
    # What is left is one window of the picture, the same in image and mask, with all of the referent.
    assert np.array_equal(results['img'], whole[y:y + rows, x:x + columns])
    assert np.array_equal(results['gt_seg_map'], mask[y:y + rows, x:x + columns])
    assert results['gt_seg_map'].sum() == mask.sum()
    if text == 'second car':
        assert (rows, columns) == (height, width)
    elif text != 'red car':
        # In its old place; the window's bounds are whole pixels.
        assert abs(((left + right) / 2 - x) - (left + right) / 2 * columns / width) <= 1
        assert abs(((top + bottom) / 2 - y) - (top + bottom) / 2 * rows / height) <= 1
