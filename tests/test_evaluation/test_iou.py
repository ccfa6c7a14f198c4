import numpy as np
import pytest
import torch

from mmrefseg.evaluation import intersection_and_union, summarise_iou


def slow_counts(pred, gt):
    pairs = [(bool(p), bool(g)) for p, g in zip(pred.ravel().tolist(), gt.ravel().tolist(), strict=True)]
    return sum(p and g for p, g in pairs), sum(p or g for p, g in pairs)


def test_counts_by_hand():
    pred = np.array([[1, 1, 0], [0, 0, 0]], dtype=np.uint8)
    gt = np.array([[0, 1, 1], [1, 0, 0]], dtype=bool)
    assert intersection_and_union(pred, gt) == (1, 4)


@pytest.mark.parametrize('convert', [np.asarray, torch.from_numpy])
def test_counts_against_slow_reference(convert):
    rng = np.random.default_rng(0)
    for shape in ((1, 7, 5), (3, 300)):
        pred, gt = rng.random(shape) > 0.4, (rng.random(shape) > 0.7).astype(np.uint8) * 255
        counts = intersection_and_union(convert(pred), convert(gt))
        assert counts == slow_counts(pred, gt)
        assert all(type(count) is int for count in counts)


def test_counts_are_exact_where_float32_is_not():
    ones = torch.ones(4097, 4097, dtype=torch.bool)
    assert intersection_and_union(ones, ones) == (4097**2, 4097**2)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(3, 2\).*original image'):
        intersection_and_union(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


def test_scores_are_refused():
    with pytest.raises(TypeError, match='float32'):
        intersection_and_union(torch.rand(2, 2), torch.ones(2, 2, dtype=torch.bool))


def test_summary_by_hand():
    # IoU 0.5, 0.9 and 1.0; exactly 0.5 and 0.9 must not pass Pr@50 and Pr@90.
    figures = summarise_iou([1, 90, 3], [2, 100, 3])
    assert figures == pytest.approx({
        'mIoU': 80.0, 'oIoU': 100 * 94 / 105, 'Pr@50': 200 / 3, 'Pr@60': 200 / 3, 'Pr@70': 200 / 3, 'Pr@80': 200 / 3,
        'Pr@90': 100 / 3})
    assert list(figures) == ['mIoU', 'oIoU', 'Pr@50', 'Pr@60', 'Pr@70', 'Pr@80', 'Pr@90']
    assert all(type(value) is float for value in figures.values())


def test_exact_levels_do_not_pass():
    for level in (50, 60, 70, 80, 90):
        assert summarise_iou([level], [100])[f'Pr@{level}'] == 0
        assert summarise_iou([level * 10000 + 1], [1000000])[f'Pr@{level}'] == 100


def test_empty_union_counts_as_zero():
    assert summarise_iou([0], [0]) == dict.fromkeys(['mIoU', 'oIoU', 'Pr@50', 'Pr@60', 'Pr@70', 'Pr@80', 'Pr@90'], 0.0)
    assert summarise_iou([0, 4], [0, 4])['mIoU'] == 50
    assert summarise_iou([0, 4], [0, 4])['oIoU'] == 100


def test_other_thresholds():
    assert set(summarise_iou([1], [1], thresholds=(75, ))) == {'mIoU', 'oIoU', 'Pr@75'}


@pytest.mark.parametrize(('intersections', 'unions', 'message'), [
    ([], [], 'no expressions'),
    ([1, 2], [2], r'\(2,\).*\(1,\)'),
    ([3], [2], 'larger than its union'),
    ([-1], [2], 'negative'),
])
def test_bad_counts(intersections, unions, message):
    with pytest.raises(ValueError, match=message):
        summarise_iou(intersections, unions)
