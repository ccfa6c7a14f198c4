import cv2
import numpy as np
import pytest
import torch

from mmrefseg.evaluation import intersection_and_union, summarise_iou
from mmrefseg.structures import cris_mask, masks_by_matrix, masks_by_opencv

SIZE = 448


def letterbox_matrix(height, width, size=SIZE):
    scale = min(size / height, size / width)
    left, top = (size - width * scale) / 2, (size - height * scale) / 2
    corners = np.float32([[0, 0], [width, 0], [0, height]])
    return cv2.getAffineTransform(corners, np.float32([[left, top]]) + corners * np.float32(scale))


def test_cris_golden(golden_folder):
    golden = np.load(golden_folder / 'protocols.npz')
    counts = []
    for i, (height, width, intersection, union) in enumerate(golden['rows_h_w_crisI_crisU_stretchI_stretchU'][:, :4]):
        gt = np.unpackbits(golden[f'gt_{i}'], count=height * width).reshape(height, width)
        mask = cris_mask(torch.from_numpy(golden[f'logit_{i}']), (SIZE, SIZE), letterbox_matrix(height, width),
                         (height, width))
        assert mask.shape == (height, width)
        assert mask.dtype == torch.bool
        counts.append(intersection_and_union(mask, gt))
        assert counts[-1] == (intersection, union)
    figures = summarise_iou(*zip(*counts, strict=True))
    expected = 100 * golden['cris_summary_miou_oiou_p50_60_70_80_90']
    np.testing.assert_allclose(list(figures.values()), expected, rtol=1e-9)


def test_identity_keeps_the_threshold():
    logits = torch.logit(torch.tensor([[0.34, 0.36], [0.9, 0.1]]))
    matrix = np.eye(2, 3)
    assert cris_mask(logits, (2, 2), matrix, (2, 2)).tolist() == [[False, True], [True, False]]
    assert cris_mask(logits, (2, 2), matrix, (2, 2), threshold=0.5).tolist() == [[False, False], [True, False]]


def test_border_is_cut_away():
    # A 2x4 image in an 8x8 letterbox: rows 2 to 5 of the input show it, the rest is border.
    logits = torch.full((8, 8), -20.0)
    logits[2:6, :4] = 20.0
    mask = cris_mask(logits, (8, 8), np.array([[2.0, 0, 0], [0, 2.0, 2.0]]), (2, 4))
    assert mask.tolist() == [[True, True, False, False]] * 2


def test_half_precision_and_gradients():
    logits = torch.zeros(4, 4, dtype=torch.bfloat16, requires_grad=True)
    assert cris_mask(logits, (8, 8), np.eye(2, 3), (8, 8)).all()


@pytest.mark.parametrize(('logits', 'matrix', 'message'), [
    (torch.zeros(1, 4, 4), np.eye(2, 3), r'\(h, w\).*\(1, 4, 4\)'),
    (torch.zeros(4, 4), np.eye(3), r'2x3.*\(3, 3\)'),
])
def test_wrong_shapes(logits, matrix, message):
    with pytest.raises(ValueError, match=message):
        cris_mask(logits, (8, 8), matrix, (8, 8))


def test_by_matrix_golden(golden_folder):
    """Counts are those of OpenCV's way, although two pixels in a thousand of the union might differ."""
    golden = np.load(golden_folder / 'protocols.npz')
    rows = golden['rows_h_w_crisI_crisU_stretchI_stretchU'][:, :4]
    logits = torch.stack([torch.from_numpy(golden[f'logit_{i}']) for i in range(len(rows))])
    shapes = [(height, width) for height, width in rows[:, :2]]
    masks = masks_by_matrix(logits, (SIZE, SIZE), shapes, [letterbox_matrix(*shape) for shape in shapes])
    for i, (mask, shape) in enumerate(zip(masks, shapes, strict=True)):
        assert mask.dtype == torch.bool
        gt = np.unpackbits(golden[f'gt_{i}'], count=mask.numel()).reshape(shape)
        assert intersection_and_union(mask, gt) == tuple(rows[i, 2:])


@pytest.mark.parametrize(('shape', 'matrix'), [
    ((5, 9), [[2, 0, 1.5], [0, 3, 0.25]]),
    ((130, 70), [[-0.4, 0, 30], [0, 0.2, 3]]),
    ((40, 40), [[1, 0, 100], [0, 1, -100]]),
])
def test_both_ways_agree(shape, matrix):
    logits = 4 * torch.randn(3, 8, 11)
    arguments = logits, (32, 44), [shape, (7, 6), shape], [np.array(matrix), np.eye(2, 3), np.array(matrix)]
    for found, expected in zip(masks_by_matrix(*arguments), masks_by_opencv(*arguments), strict=True):
        assert found.shape == expected.shape
        assert (found != expected).float().mean() < 0.002


@pytest.mark.parametrize(('matrix', 'message'), [
    ([[1, 0.1, 0], [0, 1, 0]], "turns or shears images.*resampling='opencv'"), (np.eye(3), r'2x3.*\(3, 3\)')])
def test_what_no_two_matrices_undo(matrix, message):
    with pytest.raises(ValueError, match=message):
        masks_by_matrix(torch.zeros(1, 4, 4), (8, 8), [(8, 8)], [np.array(matrix)])
