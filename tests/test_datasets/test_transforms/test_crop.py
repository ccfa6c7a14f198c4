import numpy as np
import pytest

from mmrefseg.datasets import Letterbox, RandomReferentCrop


def _sample(text: str = 'red car', box: tuple = (40, 50, 20, 40)) -> dict:
    """A picture of 100 by 80 whose pixels tell x and y; the referent lies between rows and between columns."""
    y, x = np.mgrid[:80, :100]
    mask = np.zeros((80, 100), np.uint8)
    mask[box[0]:box[1], box[2]:box[3]] = 1
    return {'img': np.stack([x, y, 0 * x], axis=2).astype(np.uint8), 'gt_seg_map': mask, 'text': text,
            'seg_fields': ['gt_seg_map'], 'img_shape': (80, 100)}


def _windows(text: str, number: int = 400, **kwargs) -> np.ndarray:
    """(N, 4): left, top, width and height of windows of a quarter of the picture."""
    np.random.seed(0)
    crop = RandomReferentCrop((0.25, 0.25), (1, 1))
    windows = []
    for _ in range(number):
        results = crop(_sample(text, **kwargs))
        assert results['img_shape'] == results['gt_seg_map'].shape == results['img'].shape[:2]
        windows.append([*results['img'][0, 0, :2], *results['img_shape'][::-1]])
    return np.array(windows, int)


def test_free_windows_go_everywhere():
    left, top, width, height = _windows('man holding a racket').T
    assert set(width) <= {50, 51} and set(height) <= {40, 41}
    assert left.min() <= 1 and left.max() >= 19  # the referent is between columns 20 and 40
    assert top.min() <= 11 and top.max() >= 38  # rows 40 and 50
    assert abs(left.mean() - 10) < 1


@pytest.mark.parametrize('text', ['man on the left', 'TOP', 'leftmost man', 'lefthand man', 'biggest one', 'corner',
                                  'rear car', 'man rt', 'northwest', '9:00'])
def test_places_stay(text):
    """The referent's middle at (30, 45) keeps its 0.3 of the width and 0.5625 of the height."""
    windows = _windows(text, number=3)
    assert np.array_equal(windows, [[15, 22, 50, 41]] * 3)


def test_window_grows_until_it_holds_the_referent():
    assert np.array_equal(_windows('red car', 1, box=(10, 70, 0, 30)), [[0, 10, 50, 60]])
    # Half of it is 15 wide at 15 from the left end: only the whole width keeps its place.
    assert np.array_equal(_windows('left car', 1, box=(10, 70, 0, 30)), [[0, 10, 100, 60]])


@pytest.mark.parametrize('text', ['man left of the car', 'second from left', 'middle one', 'bag on the chair',
                                  'the other man', 'closest to the door', 'cup by the plate', 'last cow',
                                  '2 from left', '#3 from right', 'bigger one', 'man away from the car'])
def test_nothing_is_cut_off_that_the_words_need(text):
    sample = _sample(text)
    assert RandomReferentCrop((0.01, 0.01))(sample)['img'].shape == (80, 100, 3)


def test_nothing_is_cut_off_without_a_referent():
    assert RandomReferentCrop((0.01, 0.01))(_sample(box=(0, 0, 0, 0)))['img'].shape == (80, 100, 3)


def test_aspect():
    np.random.seed(0)
    crop = RandomReferentCrop((0.2, 0.2), (0.5, 2))
    shapes = np.array([crop(_sample(box=(40, 41, 50, 51)))['img_shape'] for _ in range(300)])
    ratios = (shapes[:, 1] / 100) / (shapes[:, 0] / 80)
    assert 0.48 < ratios.min() < 0.55 and 1.8 < ratios.max() < 2.1
    assert np.abs(shapes.prod(axis=1) / 8000 - 0.2).max() < 0.02


def test_order():
    crop = RandomReferentCrop()
    with pytest.raises(ValueError, match='RandomReferentCrop must stand before Letterbox'):
        crop(Letterbox(32)(_sample()))
    for key, source in (('text', 'SampleSentence'), ('gt_seg_map', 'LoadReferringMask')):
        sample = _sample()
        del sample[key]
        with pytest.raises(ValueError, match=f"needs '{key}': {source} must stand before it"):
            crop(sample)


@pytest.mark.parametrize('area', [(0, 1), (0.5, 0.4), (0.5, 1.1)])
def test_impossible_areas(area):
    with pytest.raises(ValueError, match='area must be two ascending shares'):
        RandomReferentCrop(area)


@pytest.mark.parametrize('ratio', [(0, 1), (2, 1)])
def test_impossible_ratios(ratio):
    with pytest.raises(ValueError, match='ratio must be two ascending numbers'):
        RandomReferentCrop(ratio=ratio)
