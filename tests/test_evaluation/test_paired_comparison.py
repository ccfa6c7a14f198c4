import itertools
import statistics

import numpy as np
import pytest

from mmrefseg.evaluation.functional import paired_difference, spread_over_seeds


def test_spread_by_hand():
    spread = spread_over_seeds([{'mIoU': 1.0, 'oIoU': 5.0}, {'mIoU': 2.0, 'oIoU': 5.0}, {'mIoU': 6.0, 'oIoU': 5.0}])
    assert list(spread) == ['mIoU', 'oIoU']
    assert spread['mIoU'] == pytest.approx((3.0, 7**0.5))  # (4 + 1 + 9) / (3 - 1)
    assert spread['oIoU'] == (5.0, 0.0)


def test_a_single_seed_has_no_spread():
    assert spread_over_seeds([{'mIoU': 1.5}]) == {'mIoU': (1.5, None)}
    with pytest.raises(ValueError, match='no seeds'):
        spread_over_seeds([])


def test_difference_by_hand():
    # Means over seeds: 30, 0, -20. Image a holds the first two: 30 in all, 15 on average.
    # Draws: a a (15) and b b (-20) with 1/4 each, a b (10 / 3) with 1/2; so the ends are the extremes.
    difference = paired_difference(
        np.array([[60.0, 50, 30], [40, 50, 30]]), np.array([[20.0, 40, 40], [20, 60, 60]]), ['a', 'a', 'b'])
    assert difference == (pytest.approx(10 / 3), -20, 15, (pytest.approx(40 / 3), pytest.approx(-20 / 3)))
    assert all(type(value) is float for value in (*difference[:3], *difference.by_seed))


def test_order_of_expressions_and_sign():
    rng = np.random.default_rng(1)
    ious, reference, images = rng.random((3, 12)), rng.random((3, 12)), list(range(4)) * 3
    there, back = paired_difference(ious, reference, images), paired_difference(reference, ious, images)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    # Images keep the order in which they first appear, and with it their draws.
    sorted_by_image = np.argsort(images, kind='stable')
    again = paired_difference(ious[:, sorted_by_image], reference[:, sorted_by_image], sorted(images))
    assert again == (*map(pytest.approx, there[:3]), pytest.approx(there.by_seed))


def test_interval_against_all_draws():
    """Four images can be drawn in 256 ways, each as likely."""
    differences = {'a': [7.0, 1], 'b': [-4.0], 'c': [2.0, 2, -9], 'd': [0.5]}
    images = [image for image, values in differences.items() for _ in values]
    means = []
    for draw in itertools.product(differences.values(), repeat=4):
        values = [value for group in draw for value in group]
        means.append(sum(values) / len(values))
    ious = np.array([[value for values in differences.values() for value in values]])
    found = paired_difference(ious, np.zeros_like(ious), images)
    assert found.mean == pytest.approx(-0.5 / 7)
    for end, exact in ((found.low, np.quantile(means, 0.025)), (found.high, np.quantile(means, 0.975))):
        assert end == pytest.approx(exact, abs=0.15)


def slow_interval(differences, images):
    """The mean plus and minus 1.96 errors that are robust against dependence within images; for many images."""
    mean = statistics.fmean(differences)
    residuals = {}
    for difference, image in zip(differences, images, strict=True):
        residuals[image] = residuals.get(image, 0) + difference - mean
    error = sum(total**2 for total in residuals.values())**0.5 / len(differences)
    return mean - 1.96 * error, mean + 1.96 * error


def test_interval_against_a_formula_for_many_images():
    rng = np.random.default_rng(3)
    images = np.repeat(np.arange(400), rng.integers(1, 6, size=400))
    common = rng.normal(1.0, 5.0, size=400)[images]  # what the expressions of an image have in common
    ious, reference = common + rng.normal(0, 2.0, size=(3, len(images))), np.zeros((3, len(images)))
    found = paired_difference(ious, reference, images.tolist())
    low, high = slow_interval(ious.mean(axis=0).tolist(), images.tolist())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    apart = paired_difference(ious, reference, range(len(images)))
    assert apart.mean == found.mean
    assert apart.high - apart.low < 0.7 * (high - low), 'expressions taken as independent look too certain'


def test_an_interval_holds_the_truth_19_times_in_20():
    rng = np.random.default_rng(4)
    images = np.repeat(np.arange(40), 3)
    hits = 0
    for _ in range(300):
        ious = rng.normal(2.0, 1.0, size=40)[None, images] + rng.normal(0, 0.5, size=(2, 120))
        found = paired_difference(ious, np.zeros_like(ious), images.tolist(), resamples=300)
        hits += found.low <= 2.0 <= found.high
    assert 0.90 < hits / 300 < 0.98


@pytest.mark.parametrize(('ious', 'reference', 'images', 'message'), [
    (np.zeros((2, 3)), np.zeros((2, 4)), 'abc', r'\(2, 3\) and \(2, 4\) with 3 images'),
    (np.zeros((2, 3)), np.zeros((3, 3)), 'abc', r'\(2, 3\) and \(3, 3\)'),
    (np.zeros((2, 3)), np.zeros((2, 3)), 'ab', r'with 2 images'),
    (np.zeros(3), np.zeros(3), 'abc', r'expected were \(seeds, expressions\)'),
    (np.zeros((2, 0)), np.zeros((2, 0)), '', r'\(2, 0\)'),
    (np.zeros((2, 3)), np.zeros((2, 3)), 'aaa', r'about one image'),
])
def test_what_cannot_be_compared_is_refused(ious, reference, images, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(ious, reference, images)
