"""Intervals and differences of all figures."""
import itertools

import numpy as np
import pytest

from mmrefseg.errors import InputError
from mmrefseg.evaluation.functional import compare_figures, estimate_figures, gres_ratios, iou_ratios, summarise_iou


def draws_by_hand(images):
    """Places of the expressions of every possible draw of images."""
    members = {image: [i for i, other in enumerate(images) if other == image] for image in dict.fromkeys(images)}
    for draw in itertools.product(members, repeat=len(members)):
        yield [index for image in draw for index in members[image]]


INTER = np.array([10, 60, 95, 0, 30, 88, 51])
UNION = np.array([100, 90, 100, 70, 60, 100, 100])
OTHER = np.array([20, 60, 90, 30, 10, 88, 49])
IMAGES = ['a', 'a', 'b', 'c', 'c', 'd', 'd']


def test_intervals_of_every_figure_against_all_draws():
    """Four images can be drawn in 256 ways, each as likely."""
    found = estimate_figures([iou_ratios(INTER, UNION)], IMAGES)
    drawn = [summarise_iou(INTER[draw], UNION[draw]) for draw in draws_by_hand(IMAGES)]
    assert list(found) == list(drawn[0])
    for name, estimate in found.items():
        assert estimate.mean == summarise_iou(INTER, UNION)[name] == estimate.by_seed[0]
        low, high = np.quantile([figures[name] for figures in drawn], (0.025, 0.975))
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=3)


def test_differences_against_all_draws():
    found = compare_figures([iou_ratios(INTER, UNION)], [iou_ratios(OTHER, UNION)], IMAGES)
    drawn = [{name: value - summarise_iou(OTHER[draw], UNION[draw])[name]
              for name, value in summarise_iou(INTER[draw], UNION[draw]).items()} for draw in draws_by_hand(IMAGES)]
    for name, difference in found.items():
        values = [figures[name] for figures in drawn]
        low, high = np.quantile(values, (0.025, 0.975))
        assert (difference.low, difference.high) == pytest.approx((low, high), abs=1.5)
        error = np.std(values)
        assert difference.visible == pytest.approx(2.8016 * error, rel=0.05, abs=1e-9)
        if difference.mean and error:
            assert difference.needed == pytest.approx(7 * (2.8016 * error / difference.mean)**2, rel=0.1, abs=1)


def test_as_many_expressions_as_are_needed_see_the_difference():
    """Of data sets of that size, four in five find an interval without 0."""
    random = np.random.default_rng(0)

    def models(number, centred=False):
        shift = random.normal(5, 50, number)
        shift = (shift + centred * (5 - shift.mean())).round().astype(int)
        base = random.integers(400, 600, number)
        union = np.full(number, 1000)
        return [iou_ratios(base + shift, union)], [iou_ratios(base, union)], range(number)

    needed = compare_figures(*models(2000, centred=True), resamples=300)['mIoU'].needed
    assert needed == pytest.approx(7.85 * 100, rel=0.25)  # (2.8 · 50 / 5)², by the formula for independent expressions
    seen = [compare_figures(*models(needed), resamples=200)['mIoU'].low > 0 for _ in range(40)]
    assert 0.6 < np.mean(seen) < 0.95


def test_seeds():
    rows = [iou_ratios(INTER, UNION), iou_ratios(OTHER, UNION)]
    found = estimate_figures(rows, IMAGES)['mIoU']
    assert found.by_seed == (summarise_iou(INTER, UNION)['mIoU'], summarise_iou(OTHER, UNION)['mIoU'])
    assert found.mean == pytest.approx(sum(found.by_seed) / 2)
    nothing = compare_figures(rows, rows[::-1], IMAGES)['mIoU']
    assert nothing.mean == 0 and nothing.by_seed[0] == -nothing.by_seed[1] != 0
    assert (nothing.low, nothing.high, nothing.needed) == (pytest.approx(0), pytest.approx(0), None)
    with pytest.raises(InputError, match='2 and 1 seeds cannot be paired'):
        compare_figures(rows, rows[:1], IMAGES)


def test_figures_that_few_expressions_bear_on():
    """Some draws hold no expression without a target; a figure that nothing bears on is left out."""
    ratios = gres_ratios([0, 60, 0], [0, 60, 80], [0, 60, 0])
    found = estimate_figures([ratios], 'abc')
    assert found['N-acc'].mean == 50 and (found['N-acc'].low, found['N-acc'].high) == (0, 100)
    assert 'N-acc' not in estimate_figures([gres_ratios([60], [60], [60])], 'a')


def test_one_image_has_no_interval():
    found = estimate_figures([iou_ratios(INTER, UNION)], ['a'] * 7)['oIoU']
    assert (found.low, found.high) == (None, None) and found.mean == pytest.approx(100 * INTER.sum() / UNION.sum())
    assert compare_figures([iou_ratios(INTER, UNION)], [iou_ratios(OTHER, UNION)], ['a'] * 7)['mIoU'].needed is None
