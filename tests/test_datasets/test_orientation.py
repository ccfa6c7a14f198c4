"""Masks lie on their objects, whether they were drawn on the upright or on the stored picture."""
import json

import numpy as np
import pytest
from helpers.oriented_images import write_oriented
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import (
    JSONLinesDataset,
    LoadReferringImage,
    LoadReferringMask,
    RefCOCODataset,
    ReferringLMDBDataset,
    ReferringMixture,
)
from mmrefseg.datasets.preparation import prepare, validate
from mmrefseg.errors import FileError
from mmrefseg.structures.mask_formats import mask_to_rle

PIPELINE = [LoadReferringImage(), LoadReferringMask()]


def _picture(shape: tuple[int, int]) -> np.ndarray:
    """Dark, with a red object of no symmetry."""
    picture = np.full((*shape, 3), 20, np.uint8)
    picture[3:9, 5:20] = picture[9:14, 5:8] = 250, 10, 10
    return picture


def _object(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0] > 128


@pytest.fixture(params=[(24, 32), (24, 24)], ids=['wide', 'square'])
def root(request, tmp_path):
    """Pictures of all orientations, each with a line whose mask is on the upright and one with that on the stored."""
    lines = []
    (tmp_path / 'mine/images').mkdir(parents=True)
    (tmp_path / 'mine/annotations').mkdir()
    for orientation in range(1, 9):
        stored, name = _picture(request.param), f'{orientation}.png'
        upright = write_oriented(tmp_path / 'mine/images' / name, stored, orientation)
        for picture, ignore in ((upright, False), (stored, True)):
            lines.append({'image': name, 'expression': 'the red one', 'ignore_orientation': ignore,
                          'mask': mask_to_rle(_object(picture))})
    (tmp_path / 'mine/annotations/train.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    return tmp_path / 'mine'


def _check(dataset, number: int = 16) -> None:
    assert len(dataset) == number
    for sample in dataset:
        assert np.array_equal(sample['gt_seg_map'] == 1, _object(sample['img']))


def test_lines_say_which_view_they_mean(root):
    assert validate(root / 'annotations/train.jsonl') == (16, [])
    _check(JSONLinesDataset(str(root), pipeline=PIPELINE))
    _check(ReferringMixture([JSONLinesDataset(str(root))], pipeline=PIPELINE))


@pytest.mark.parametrize('lmdb', [False, True])
def test_prepared(root, tmp_path, lmdb):
    assert prepare('jsonl', [root], tmp_path / 'out', lmdb=lmdb)
    _check((ReferringLMDBDataset if lmdb else JSONLinesDataset)(str(tmp_path / 'out'), pipeline=PIPELINE))


@pytest.mark.parametrize('ignore', [False, True])
def test_a_setting_says_it_for_all_lines(root, ignore):
    file = root / 'annotations/train.jsonl'
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    chosen = [line for line in lines if line.pop('ignore_orientation') == ignore]
    file.write_text('\n'.join(map(json.dumps, chosen)))
    _check(JSONLinesDataset(str(root), pipeline=PIPELINE, ignore_orientation=ignore), 8)
    assert validate(file, ignore_orientation=ignore) == (8, [])
    prepare('jsonl', [root], root.parent / 'out', ignore_orientation=ignore)
    _check(JSONLinesDataset(str(root.parent / 'out'), pipeline=PIPELINE, ignore_orientation=not ignore), 8)
    with pytest.raises(FileError, match='was prepared without' if not ignore else 'was prepared with --ignore'):
        prepare('jsonl', [root], root.parent / 'out', ignore_orientation=not ignore)
    size = tuple(chosen[-1]['mask']['size'])
    if size[0] != size[1]:
        assert len(validate(file, ignore_orientation=not ignore)[1]) == 4  # the orientations that exchange the sides


def test_lines_prepared_before_there_was_a_choice_mean_the_stored_picture(root, tmp_path):
    prepare('jsonl', [root], tmp_path / 'out')
    file = tmp_path / 'out/annotations/train.jsonl'
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.pop('ignore_orientation') for line in lines] == [False, True] * 8
    index = json.loads(file.with_suffix('.index.json').read_text())
    content = [json.dumps(line) + '\n' for line in lines]
    file.write_text(''.join(content))
    file.with_suffix('.index.json').write_text(json.dumps({**index, 'lengths': list(map(len, content))}))
    assert all(info['ignore_orientation'] for info in JSONLinesDataset(str(tmp_path / 'out')).referents())


@pytest.mark.parametrize('orientation', [3, 6])
def test_published_sets_mean_the_stored_picture(tmp_path, orientation):
    root = write_refcoco(tmp_path / 'tiny', tiny_refcoco())
    stored = _picture((24, 32))
    image = RefCOCODataset(str(root)).get_data_info(0)['img_path']
    write_oriented((root / image), stored, orientation)
    sample = RefCOCODataset(str(root), pipeline=PIPELINE)[0]
    assert sample['ignore_orientation'] and np.abs(sample['img'].astype(int) - stored).max() < 60
    own = RefCOCODataset(str(root), ignore_orientation=False)
    turned = LoadReferringImage().transform(own.get_data_info(0))
    assert turned['img'].shape[:2] == ((32, 24) if orientation == 6 else (24, 32))
    if orientation == 6:
        with pytest.raises(ValueError, match='set ignore_orientation: True if the annotations were made on the pic'):
            LoadReferringMask().transform(turned)


def test_where_nobody_can_set_it(root, tmp_path):
    with pytest.raises(ValueError, match='leave ignore_orientation out'):
        ReferringLMDBDataset(str(tmp_path), ignore_orientation=True)
    with pytest.raises(ValueError, match='--ignore-orientation is for jsonl: which view of the images refshapes'):
        prepare('refshapes', [root], tmp_path / 'out', ignore_orientation=True)
    with pytest.raises(TypeError, match='ignore_orientation'):
        JSONLinesDataset(str(root), ignore_orientation='yes')
    line = {'image': '1.png', 'expression': 'x', 'mask': None, 'ignore_orientation': 1}
    (root / 'annotations/train.jsonl').write_text(json.dumps(line))
    with pytest.raises(ValueError, match=r"line 1: 'ignore_orientation' must be of type bool, got int"):
        JSONLinesDataset(str(root))
