import numpy as np
import pytest
import torch

from mmrefseg.evaluation.functional import boundary, boundary_counts


def slow_boundary(mask, distance):
    """A pixel is near the outline if one within the square around it is outside of the mask or of the picture."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        around = [(y + dy, x + dx) for dy in range(-distance, distance + 1) for dx in range(-distance, distance + 1)]
        found[y, x] = not all(0 <= v < height and 0 <= u < width and mask[v, u] for v, u in around)
    return found


@pytest.mark.parametrize('shape', [(12, 17), (1, 30), (3, 3), (15, 11)])
@pytest.mark.parametrize('ratio', [0.02, 0.1, 0.6])
def test_against_a_slow_reference(shape, ratio):
    random = np.random.default_rng(sum(shape))
    distance = max(1, round(ratio * np.hypot(*shape)))
    for share in (0, 0.03, 0.3, 1):
        mask = random.random(shape) >= share
        assert (boundary(torch.from_numpy(mask), ratio).numpy() == slow_boundary(mask, distance)).all()


def test_counts_by_hand():
    # A square of 6 × 6 in a picture of 10 × 10, and the same without its left column: rims of 20 and 18 pixels.
    truth = torch.zeros(10, 10, dtype=torch.bool)
    truth[2:8, 2:8] = True
    answer = truth.clone()
    answer[:, 2] = False
    # Shared: of both rims the upper and lower rows of 5 and the right column's other 4.
    assert boundary_counts(answer, truth).tolist() == [14, 18, 20]


def test_the_edge_of_the_picture_is_an_outline():
    assert boundary(torch.ones(3, 4, dtype=torch.bool)).int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
