from fractions import Fraction

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmrefseg.evaluation import GRESMetric, intersection_and_union, summarise_gres
from mmrefseg.registry import METRICS
from mmrefseg.structures import RefSegDataSample

NAMES = ['gIoU', 'cIoU', 'N-acc', 'T-acc', 'Pr@70', 'Pr@80', 'Pr@90']


def slow_figures(pairs, min_pixels, thresholds=(70, 80, 90)):
    """By counting pixel sets one expression after the other, in fractions."""
    ious, passed, overlap, covered = [], dict.fromkeys(thresholds, 0), 0, 0
    right = {True: 0, False: 0}  # by whether there is a target
    number = {True: 0, False: 0}
    for pred, target in pairs:
        pred = set(pred) if len(pred) >= min_pixels else set()
        target = set(target)
        number[bool(target)] += 1
        right[bool(target)] += bool(pred) == bool(target)
        if not target and not pred:
            ious.append(Fraction(1))
            continue
        both, either = len(pred & target), len(pred | target)
        overlap, covered = overlap + both, covered + either
        ious.append(Fraction(both, either))
        if target:
            for level in thresholds:
                passed[level] += ious[-1] >= Fraction(level, 100)
    figures = {'gIoU': sum(ious) / len(ious), 'cIoU': covered and Fraction(overlap, covered),
               'N-acc': number[False] and Fraction(right[False], number[False]),
               'T-acc': number[True] and Fraction(right[True], number[True])}
    figures |= {f'Pr@{level}': number[True] and Fraction(count, number[True]) for level, count in passed.items()}
    return {name: float(100 * value) for name, value in figures.items()}


def summarise(pairs, **kwargs):
    numbers = [(len(set(pred) & set(target)), len(pred), len(target)) for pred, target in pairs]
    return summarise_gres(*zip(*numbers, strict=True), **kwargs)


def test_by_hand():
    figures = summarise_gres(
        intersections=[90, 0, 0, 0, 40],
        predicted=[90, 60, 0, 0, 49],
        targets=[100, 0, 0, 200, 80])
    # IoU 0.9; a mask where there is nothing; "no target" rightly, and wrongly; a mask too small to count.
    assert figures == pytest.approx({
        'gIoU': 100 * (0.9 + 0 + 1 + 0 + 0) / 5, 'cIoU': 100 * 90 / (100 + 60 + 0 + 200 + 80), 'N-acc': 50,
        'T-acc': 100 / 3, 'Pr@70': 100 / 3, 'Pr@80': 100 / 3, 'Pr@90': 100 / 3})
    assert list(figures) == NAMES
    assert all(type(value) is float for value in figures.values())


@pytest.mark.parametrize('seed', range(20))
def test_against_slow_reference(seed):
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(12):
        target = np.flatnonzero(rng.random(200) > rng.choice([0.2, 0.7, 1.0]))
        noise = rng.random(200) > rng.choice([0.9, 0.97, 1.0])
        pred = np.flatnonzero(np.isin(np.arange(200), target) ^ noise) if rng.random() > 0.2 else []
        pairs.append((list(pred), list(target)))
    pairs += [(range(60), []), ([], []), (range(10), range(10))]
    for min_pixels in (1, 12, 50):
        assert summarise(pairs, min_pixels=min_pixels) == pytest.approx(slow_figures(pairs, min_pixels), abs=1e-9)


def test_fifty_pixels_are_enough():
    assert summarise_gres([50], [50], [50])['gIoU'] == 100
    assert summarise_gres([49], [49], [50])['gIoU'] == 0
    assert summarise_gres([0], [49], [0]) == {'gIoU': 100, 'N-acc': 100}
    assert summarise_gres([0], [50], [0]) == {'gIoU': 0, 'cIoU': 0, 'N-acc': 0}


@pytest.mark.parametrize('min_pixels', [0, 1])
def test_every_pixel_can_count(min_pixels):
    assert set(summarise_gres([1, 0], [1, 0], [1, 0], min_pixels).values()) == {100}
    assert set(summarise_gres([0, 0], [1, 0], [0, 1], min_pixels).values()) == {0}


def test_exact_levels_pass():
    for level in (70, 80, 90):
        assert summarise_gres([level], [level], [100])[f'Pr@{level}'] == 100
        assert summarise_gres([level * 10000 - 1], [level * 10000 - 1], [1000000])[f'Pr@{level}'] == 0
    assert set(summarise_gres([60], [60], [60], thresholds=(55, ))) == {'gIoU', 'cIoU', 'T-acc', 'Pr@55'}


@pytest.mark.parametrize('numbers, message', [
    (([], [], []), 'no expressions'),
    (([1], [2, 3], [4]), r'\(1,\), \(2,\) and \(1,\)'),
    (([3], [2], [4]), 'larger than its prediction or target'),
    (([3], [4], [2]), 'larger than its prediction or target'),
    (([-1], [4], [2]), 'negative'),
])
def test_bad_numbers(numbers, message):
    with pytest.raises(ValueError, match=message):
        summarise_gres(*numbers)


def make_sample(index, shape=(12, 11)):
    rng = np.random.default_rng(index)
    truth, pred = (rng.random((1, *shape)) < rng.choice([0, 0.3, 0.9]) for _ in range(2))
    sample = RefSegDataSample()
    sample.gt_sem_seg = PixelData(data=torch.from_numpy(truth.astype(np.uint8)))
    sample.pred_sem_seg = PixelData(data=torch.from_numpy(pred.astype(np.uint8)))
    return sample


def evaluate(metric, indices, size):
    evaluator = Evaluator(metric)
    for start in range(0, len(indices), 3):
        evaluator.process([make_sample(index) for index in indices[start:start + 3]], None)
    return evaluator.evaluate(size)


def expected_figures(size, min_pixels):
    pairs = [tuple(np.flatnonzero(mask.data).tolist() for mask in (sample.pred_sem_seg, sample.gt_sem_seg))
             for sample in map(make_sample, range(size))]
    return slow_figures(pairs, min_pixels)


def test_metric():
    metric = METRICS.build(dict(type='mmrefseg.GRESMetric'))
    assert evaluate(metric, range(25), 25) == pytest.approx(expected_figures(25, 50))
    metric = GRESMetric(min_pixels=1, thresholds=(70, 80, 90), prefix='val')
    figures = evaluate(metric, range(25), 25)
    assert figures == pytest.approx({f'val/{name}': value for name, value in expected_figures(25, 1).items()})
    assert figures != {f'val/{name}': value for name, value in expected_figures(25, 50).items()}


def test_boundaries_of_no_target():
    """Rightly answered, by none and by too few pixels: 1. Wrongly: 0. A target by too few: 0, and by itself: 1."""
    nothing, few, square = (torch.zeros(1, 20, 20, dtype=torch.uint8) for _ in range(3))
    few[0, 3, 3:9], square[0, 5:15, 5:15] = 1, 1
    pairs = [(nothing, nothing), (few, nothing), (square, nothing), (few, square), (square, square)]
    metric = GRESMetric(boundary=True)
    metric.process(None, [{'pred_sem_seg': {'data': pred}, 'gt_sem_seg': {'data': truth}} for pred, truth in pairs])
    figures = metric.evaluate(len(pairs))
    assert figures['bIoU'] == figures['gIoU'] == pytest.approx(60)


def test_metric_keeps_whole_numbers():
    metric, sample = GRESMetric(), make_sample(3)
    metric.process(None, [sample.to_dict()])
    intersection, union = intersection_and_union(sample.pred_sem_seg.data, sample.gt_sem_seg.data)
    pred, target = int(sample.pred_sem_seg.data.sum()), int(sample.gt_sem_seg.data.sum())
    assert [row[-3:] for row in metric.results] == [(intersection, pred, target)]
    assert pred + target - intersection == union


def test_metric_without_samples():
    with pytest.raises(ValueError, match='no expressions'):
        GRESMetric().evaluate(0)
