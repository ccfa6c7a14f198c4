"""Masks of several things, taken apart."""
import cv2
import numpy as np
import pytest

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_splitting import split_mask


def discs(*centres, radius=10, size=(60, 90)):
    mask = np.zeros(size, np.uint8)
    for centre in centres:
        cv2.circle(mask, centre, radius, 1, -1)
    return mask.astype(bool)


@pytest.mark.parametrize('by', ['components', 'watershed'])
def test_what_lies_apart(by):
    mask = discs((20, 20), (60, 30))
    mask[50:54, 5:9] = True
    parts = split_mask(mask, by)
    assert [int(part.sum()) for part in parts] == sorted((int(part.sum()) for part in parts), reverse=True)
    assert len(parts) == 3 and np.array_equal(np.sum(parts, axis=0), mask)
    assert len(split_mask(mask, by, min_pixels=20)) == 2


def test_what_touches_is_parted_by_watershed_alone():
    mask = discs((25, 30), (42, 30))
    assert len(split_mask(mask)) == 1
    first, second = split_mask(mask, 'watershed')
    assert not (first & second).any() and np.array_equal(first | second, mask)
    columns = sorted(int(np.flatnonzero(part.any(axis=0)).mean()) for part in (first, second))
    assert columns == pytest.approx([24, 43], abs=2)


def test_masks_at_the_rim_and_empty_ones():
    everything = np.ones((8, 12), bool)
    for by in ('components', 'watershed'):
        assert split_mask(np.zeros((5, 6), bool), by) == []
        (part, ) = split_mask(everything, by)
        assert part.all()
        (pixel, ) = split_mask(np.eye(1, 1, dtype=bool), by)
        assert pixel.shape == (1, 1)


def test_another_way_is_refused():
    with pytest.raises(InputError, match="by 'components' or 'watershed', got 'halves'"):
        split_mask(np.ones((2, 2), bool), 'halves')
