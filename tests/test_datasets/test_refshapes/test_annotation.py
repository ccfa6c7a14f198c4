"""Regions as COCO describes them."""
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.datasets.refshapes.picture import annotate, trace_pixels
from mmrefseg.structures.mask_formats import instances_to_mask


def decode(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    """A mask by pycocotools alone."""
    runs = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(coco_mask.merge(runs) if isinstance(runs, list) else runs)


def test_annotate_rectangle():
    mask = np.zeros((8, 9), np.uint8)
    mask[2:5, 3:7] = 1
    annotation = annotate(mask)
    assert (annotation['area'], annotation['bbox'], annotation['iscrowd']) == (12.0, [3.0, 2.0, 4.0, 3.0], 0)
    assert (decode(annotation['segmentation'], 8, 9) == mask).all()


def test_annotate_parts_down_to_single_pixels():
    mask = np.zeros((9, 9), np.uint8)
    mask[0, 0] = mask[8, 8] = 1
    mask[3:6, 2:7] = 1
    polygons = annotate(mask)['segmentation']
    assert len(polygons) == 3
    assert all(len(polygon) >= 6 for polygon in polygons)
    assert (decode(polygons, 9, 9) == mask).all()


@pytest.mark.parametrize('corner, counts', [(0, [5, 3, 1, 1, 1, 1, 1, 3, 0]), (1, [0, 1, 4, 3, 1, 1, 1, 1, 1, 3])])
def test_annotate_hole_as_run_lengths(corner, counts):
    mask = np.zeros((4, 4), np.uint8)
    mask[1:, 1:] = 1
    mask[2, 2] = 0
    mask[0, 0] = corner
    annotation = annotate(mask)
    assert annotation['iscrowd'] == 1
    assert annotation['segmentation'] == {'counts': [count for count in counts if count or corner], 'size': [4, 4]}
    assert (decode(annotation['segmentation'], 4, 4) == mask).all()


@pytest.mark.parametrize('share', [0.05, 0.5, 0.95])
def test_traced_pixels_give_the_region_back(share):
    """Single pixels, diagonals, and holes in holes; drawn as PhraseCut draws."""
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 9), (12, 9), (30, 40)):
        mask = (rng.random(shape) < share).astype(np.uint8)
        outlines = trace_pixels(mask)
        assert all(len(outline) > 1 for outline in outlines)
        assert (instances_to_mask([outlines], *shape) == mask).all()
