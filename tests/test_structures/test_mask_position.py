"""Where a mask lies."""
import numpy as np
import pytest

from mmrefseg.structures.mask_position import position_of


@pytest.mark.parametrize(('row', 'column', 'expected'), [
    (0, 0, 'top left'), (9, 14, 'top left'), (10, 15, 'middle centre'), (29, 44, 'bottom right'),
    (20, 0, 'bottom left'),
])
def test_one_pixel(row, column, expected):
    mask = np.zeros((30, 45), np.uint8)
    mask[row, column] = 255
    assert position_of(mask) == expected and position_of(mask > 0) == expected


def test_the_centre_of_mass_counts():
    mask = np.zeros((9, 9), bool)
    mask[:, 0] = mask[:2, 1:] = True
    rows, columns = np.nonzero(mask)
    assert (3 * rows.mean() // 9, 3 * columns.mean() // 9) == (0, 0) and position_of(mask) == 'top left'
    assert position_of(np.ones((1, 1))) == 'top left' and position_of(np.zeros((4, 4))) == ''
