"""Coordinates that are no pixels are found, tiny objects are not mistaken for them."""
import json

import numpy as np
import pytest
from helpers.instance_files import tiny_coco, write_coco
from helpers.oriented_images import write_oriented
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import CocoPromptDataset, JSONLinesDataset, RefCOCODataset
from mmrefseg.datasets.preparation import prepare, validate
from mmrefseg.structures.mask_formats import mask_to_rle

HALF = [0.25, 0.25, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75]
WHOLE = [0, 0, 1, 0, 1, 1, 0, 1]


@pytest.fixture
def write(tmp_path):
    """Write masks of a picture of 240 × 320 pixels; returns the file."""

    def write(*masks):
        (tmp_path / 'images').mkdir()
        (tmp_path / 'annotations').mkdir()
        write_oriented(tmp_path / 'images/a.png', np.zeros((240, 320, 3), np.uint8), 1)
        lines = [json.dumps({'image': 'a.png', 'expression': 'the cup', 'mask': mask}) for mask in masks]
        file = tmp_path / 'annotations/train.jsonl'
        file.write_text('\n'.join(lines))
        return file

    return write


@pytest.mark.parametrize('mask', [[HALF], [WHOLE], [HALF, WHOLE], [[0, 0, 1.02, 0, 1.02, 1.01, -0.01, 1]]])
def test_shares_of_the_image(write, tmp_path, mask):
    file = write([[2, 2, 12, 2, 12, 12]], mask)
    with pytest.raises(ValueError, match='ref_id 2: no coordinate is above 1, .*multiply x by the width'):
        JSONLinesDataset(str(tmp_path))
    with pytest.raises(ValueError, match='no coordinate is above 1'):
        prepare('jsonl', [tmp_path], tmp_path / 'out')
    assert [trouble.split(': no coordinate')[0] for trouble in validate(file)[1]] == [f'{file}, line 2']


def test_percent(write, tmp_path):
    percent = [[100 * number for number in HALF]]
    file = write(*[percent] * 5, [[100 * number for number in WHOLE]])
    message = 'no coordinate of its 6 outlines is above 100, .* larger than 200 x 200 .*divide by 100'
    with pytest.raises(ValueError, match=message):
        JSONLinesDataset(str(tmp_path))
    number, (trouble,) = validate(file)
    assert number == 6 and trouble.startswith(f'{file}: no coordinate of its 6 outlines')


@pytest.mark.parametrize('masks', [
    [[[0, 0, 2, 0, 2, 2]]] * 4,  # a few tiny ones
    [[[0, 0, 2, 0, 2, 2]]] * 9 + [[[0, 0, 101, 0, 101, 2]]],
    [[[97, 97, 100, 97, 100, 100]]] * 4,
    [[[0, 0, 1, 0, 1, 1], [5, 5, 9, 5, 9, 9]]],
    [None] * 9,
    [mask_to_rle(np.eye(240, 320))] * 9,
])
def test_small_objects_are_none_of_both(write, tmp_path, masks):
    assert validate(write(*masks))[1] == []
    assert len(JSONLinesDataset(str(tmp_path))) == len(masks)


def test_small_images_may_have_small_coordinates(tmp_path):
    assert len(RefCOCODataset(str(write_refcoco(tmp_path / 'a', tiny_refcoco()))))


def test_files_of_coco(tmp_path):
    content = tiny_refcoco()
    for annotation in content['annotations']:
        if isinstance(annotation['segmentation'], list):
            annotation['segmentation'] = [HALF]
    with pytest.raises(ValueError, match='no coordinate is above 1'):
        RefCOCODataset(str(write_refcoco(tmp_path / 'a', content)))
    boxes = tiny_coco()
    for annotation in boxes['annotations']:
        annotation['bbox'] = [number / 100 for number in annotation['bbox']]
    with pytest.raises(ValueError, match="'bbox': no coordinate is above 1"):
        CocoPromptDataset(str(write_coco(tmp_path / 'b', boxes)))
