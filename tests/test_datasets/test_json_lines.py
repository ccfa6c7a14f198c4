import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets import JSONLinesDataset, ReferringMixture
from mmrefseg.datasets.json_line_format import LineIndex
from mmrefseg.datasets.transforms.formatting import META_KEYS
from mmrefseg.structures.mask_formats import draw_mask

SQUARE = [[2, 2, 12, 2, 12, 12, 2, 12]]
LINE = {'image': 'one.jpg', 'expression': 'the cup', 'mask': SQUARE}
COMPLETE = {'image': 'one.jpg', 'height': 24, 'width': 32, 'expressions': ['a', 'b'], 'sent_ids': [5, 6], 'image_id': 7,
            'ref_id': 8, 'ann_id': 'nine', 'category_id': 10, 'image_key': 'coco/7', 'ignore_orientation': False,
            'mask': {'size': [24, 32], 'counts': '0Ph0'}}


@pytest.fixture
def write(root):
    """Write lines, objects or raw, as a split; returns the data set."""

    def write(*lines, split='train', **kwargs):
        path = root / f'annotations/{split}.jsonl'
        path.parent.mkdir(exist_ok=True)
        path.write_text(''.join(f'{line if isinstance(line, str) else json.dumps(line)}\n' for line in lines))
        return JSONLinesDataset(str(root), split, **kwargs)

    return write


def _key(image):
    return 'sha256:' + hashlib.sha256(image.read_bytes()).hexdigest()


def _index(root, split='train'):
    path = root / f'annotations/{split}.jsonl'
    index = root / f'annotations/{split}.index.json'
    index.write_bytes(LineIndex.of(path.read_bytes().splitlines(keepends=True)).to_json())
    return index


def test_what_users_need_not_write(write, root):
    second = {'image': 'two.png', 'expressions': ['a', 'b'], 'kinds': ['x', ''], 'mask': None, 'my': [1]}
    dataset = write(LINE, '', second)
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert samples[0] == {
        'img_path': str(root / 'images/one.jpg'), 'height': 24, 'width': 32, 'segmentation': SQUARE, 'image_id': 0,
        'ref_id': 1, 'ann_id': 1, 'category_id': 0, 'text': 'the cup', 'sent_id': 0, 'kind': '', 'sample_idx': 0,
        'ignore_orientation': False, 'image_folder': str(root / 'images')}
    assert samples[2] == {
        'img_path': str(root / 'images/two.png'), 'height': 40, 'width': 20, 'segmentation': None, 'image_id': 1,
        'ref_id': 3, 'ann_id': 3, 'category_id': 0, 'my': [1], 'text': 'b', 'sent_id': 2, 'kind': '', 'sample_idx': 2,
        'ignore_orientation': False, 'image_folder': str(root / 'images')}
    assert samples[1]['kind'] == 'x'


def test_everything_written(write):
    dataset = write(COMPLETE, unit='ref')
    assert dataset.get_data_info(0) == {
        'img_path': dataset.data_prefix['img_path'] + '/one.jpg', 'height': 24, 'width': 32,
        'segmentation': COMPLETE['mask'], 'image_id': 7, 'ref_id': 8, 'ann_id': 'nine', 'category_id': 10,
        'image_key': 'coco/7', 'sample_idx': 0, 'ignore_orientation': False,
        'image_folder': dataset.data_prefix['img_path'],
        'sentences': [{'text': 'a', 'sent_id': 5, 'kind': ''}, {'text': 'b', 'sent_id': 6, 'kind': ''}]}


def test_masks_in_files(write, root):
    mask = np.zeros((24, 32), np.uint8)
    mask[3:5, 4:9] = 255
    (root / 'masks').mkdir()
    Image.fromarray(mask).save(root / 'masks/1.png')
    sample = write({**LINE, 'mask': 'masks/1.png'}).get_data_info(0)
    np.testing.assert_array_equal(draw_mask(sample['segmentation'], 24, 32), mask // 255)


@pytest.mark.parametrize('line, message', [
    ('{"image": "one.jpg"', 'it is no JSON object'),
    ('[]', 'expected an object'),
    ('[' * 100_000, 'it is no JSON object'),
    (json.dumps({**LINE, 'mask': [[float('nan')] * 6]}), 'NaN is no number'),
    ({'expression': 'x', 'mask': None}, "'image' must be of type str, but is missing"),
    ({**LINE, 'image': '../images/one.jpg'}, "'image' must be a path below its folder"),
    ({**LINE, 'image': '/etc/passwd'}, "'image' must be a path below its folder"),
    ({**LINE, 'mask': 'a/../../b.png'}, "'mask' must be a path below its folder"),
    ({'image': 'one.jpg', 'expression': 'x'}, "'mask' is missing"),
    ({**LINE, 'expressions': ['x']}, "either 'expression'"),
    ({**LINE, 'expression': 3}, r'expressions\[0\] must be of type str, got int'),
    ({**LINE, 'expression': ' '}, 'an expression is empty'),
    ({'image': 'one.jpg', 'expressions': [], 'mask': None}, 'an expression is empty, or there is none'),
    ({**LINE, 'sent_ids': [1, 2]}, 'sent_ids has 2 entries, expressions 1'),
    ({**LINE, 'sent_ids': [True]}, r'sent_ids\[0\] must be of type int, got bool'),
    ({**LINE, 'height': 24.0, 'width': 32}, "'height' must be of type int"),
    ({**LINE, 'height': 24, 'width': 10**6}, "'width' must be a number of pixels from 1 to 65535"),
    ({**LINE, 'image': 'none.jpg'}, 'cannot be read from the image'),
    ({**LINE, 'image_id': 'x'}, "'image_id' must be of type int"),
    ({**LINE, 'mask': [[1, 2, 3, 4, 5, '6']]}, r'mask\[0\]\[5\] must be a finite number'),
    ({**LINE, 'mask': [SQUARE[0], [1, 2, 3]]}, r'mask\[1\] must be x, y pairs, got 3 numbers'),
    ({**LINE, 'mask': [SQUARE]}, r'mask\[0\]\[0\] must be a finite number'),
    ({**LINE, 'mask': []}, 'mask is an empty list. Write polygons; or null'),
    ({**LINE, 'mask': 5}, 'mask must be an RLE, a list of polygons, the path of a PNG, or null'),
    ({**LINE, 'mask': {'file': '/etc/passwd'}}, 'mask must be an RLE'),
    ({**LINE, 'mask': {'size': [32, 24], 'counts': []}}, r'mask.size must be .* of the image, \[24, 32\]'),
    ({**LINE, 'mask': {'size': [24, 32], 'counts': [1, None]}}, r'mask.counts\[1\] must be a finite number'),
    ({**LINE, 'mask': {'size': [24, 32], 'counts': 5}}, 'mask.counts must be a list'),
    ({**LINE, 'mask': {'size': [24, 32], 'counts': [773, -5]}}, r'mask.counts\[0\] must be .* the 768 pixels'),
    ({**LINE, 'mask': {'size': [24, 32], 'counts': [768, -5]}}, r'mask.counts\[1\] must be a run length'),
    ({**LINE, 'mask': {'size': [24, 32], 'counts': [0.5]}}, r'mask.counts\[0\] must be a run length'),
    *[({**LINE, key: 1}, rf"the keys \['{key}'\] have another meaning") for key in (
        'flip', 'flip_direction', 'gt_seg_map', 'img', 'seg_fields',
        *sorted(set(META_KEYS) - {'ann_id', 'image_id', 'ref_id', 'task_id'}))],
    ({**LINE, 'img_path': 'x', 'text': 'y'}, r"the keys \['img_path', 'text'\] have another meaning"),
    ({**LINE, 'image_key': 5}, "'image_key' must be of type str, got int"),
    ({**LINE, 'ref_id': 1}, 'ref_id 1 is that of line 1, too'),
])
def test_broken_lines(write, line, message):
    with pytest.raises(ValueError, match=f'annotations/train.jsonl, line 3: .*{message}'):
        write(LINE, '  ', line)


@pytest.mark.parametrize('first', [json.dumps(LINE), ''])
def test_a_byte_order_mark(write, first):
    dataset = write(f'\ufeff{first}', {**LINE, 'image': 'two.png', 'mask': None})
    assert len(dataset) == 1 + bool(first)
    assert len(dataset.images_by_split()['train']) == 1 + bool(first)


def test_endless_lines(write, monkeypatch):
    monkeypatch.setattr('mmrefseg.datasets.json_line_format.LONGEST_LINE', 1000)
    with pytest.raises(ValueError, match='line 2: it is longer than 1000 bytes'):
        write(LINE, {**LINE, 'my': 'x' * 1000})


def test_missing_files(write, root):
    write(LINE)
    with pytest.raises(FileNotFoundError, match='val.jsonl is missing. .* has the splits: train'):
        JSONLinesDataset(str(root), 'val')
    with pytest.raises(FileNotFoundError, match='photos of the images is missing'):
        JSONLinesDataset(str(root), data_prefix={'img_path': 'photos'})
    with pytest.raises(ValueError, match='ann_file must hold {split}'):
        JSONLinesDataset(str(root), ann_file='train.jsonl')


def test_images_by_split(write, root):
    write({**LINE, 'image_key': 'coco/1'}, split='train')
    dataset = write(LINE, {**LINE, 'image': 'two.png'}, COMPLETE, split='my.val')
    expected = {'train': {'coco/1'},
                'my.val': {_key(root / 'images/one.jpg'), _key(root / 'images/two.png'), 'coco/7'}}
    assert dataset.images_by_split() == expected
    assert sorted(dataset.splits()) == ['my.val', 'train']
    assert {dataset.image_key(referent) for referent in dataset.referents()} == expected['my.val']


def test_a_picture_is_known_by_its_content(write, root):
    image, copy = root / 'images/one.jpg', root / 'images/copy.jpg'
    shutil.copy(image, copy)
    copied, two = (write({**LINE, 'image': name}, split=name[:3]) for name in ('copy.jpg', 'two.png'))
    assert copied.images() == write(LINE).images() == {_key(image)}
    shutil.copy(root / 'images/two.png', copy)
    assert copied.images() == two.images() == {_key(root / 'images/two.png')}  # not what it was
    copy.unlink()
    with pytest.raises(FileNotFoundError, match='copy.jpg is missing, whose content is its key. Put'):
        copied.images()


def test_a_key_of_another_type(write):
    with pytest.raises(ValueError, match="train.jsonl, line 1: 'image_key' must be of type str, got list"):
        write({**LINE, 'image_key': []}, lazy_init=True).images_by_split()


def test_ann_file(write, root):
    write(LINE)
    (root / 'annotations/train.jsonl').rename(root / 'my_train_lines')
    dataset = JSONLinesDataset(str(root), ann_file='my_{split}_lines')
    assert len(dataset) == 1 and list(dataset.images_by_split()) == ['train']


def test_broken_lines_can_be_left_out(write):
    dataset = write(LINE, '[]', {**LINE, 'mask': 5}, lazy_init=True)
    dataset.broken = []
    assert [referent['ref_id'] for referent in dataset.referents()] == [1]
    assert [entry.split(': ')[0].rpartition(' ')[2] for entry in dataset.broken] == ['2', '3']


def test_with_an_index_nothing_is_read_ahead(write, root):
    others = {**COMPLETE, 'ref_id': 9, 'expressions': ['ä'], 'sent_ids': [7]}
    eager = write(COMPLETE, others)
    samples = [eager.get_data_info(index) for index in range(3)]
    _index(root)
    lines = root / 'annotations/train.jsonl'
    dataset = JSONLinesDataset(str(root))
    assert [dataset.get_data_info(index) for index in (0, 1, 2)] == samples
    assert dataset.images_by_split() == {'train': {'coco/7'}}
    content = lines.read_bytes()
    lines.write_bytes(b'x' * len(content))  # of the same size: not noticed before the line is asked for
    with pytest.raises(ValueError, match='train.jsonl, line 2: it is no JSON object'):
        JSONLinesDataset(str(root)).get_data_info(2)
    lines.write_bytes(content.replace(b'["a", "b"]', b'["a","bb"]').replace(b'[5, 6]', b'[5,66]')
                      .replace(b'"a","bb"', b'"a  bbb"').replace(b'[5,66]', b'[5666]'))
    with pytest.raises(ValueError, match='line 1: the line was changed after its index was made'):
        JSONLinesDataset(str(root)).get_data_info(0)


def test_an_index_of_another_file(write, root):
    write(COMPLETE)
    _index(root)
    with pytest.raises(ValueError, match='train.jsonl has .* bytes, but train.index.json beside it was made for'):
        write(COMPLETE, {**COMPLETE, 'ref_id': 9})


@pytest.mark.parametrize('change, message', [
    ({'format_version': 2}, 'expected an index of format_version 1, got 2. Prepare'),
    ({'lengths': [1, 2]}, 'lengths has 2 entries, num_sentences 1'),
    ({'lengths': [-1]}, "'lengths' must hold positive whole numbers"),
    ({'num_sentences': ['1']}, "'num_sentences' must hold positive"),
    ({'num_sentences': None}, "'num_sentences' must be of type list"),
])
def test_broken_indexes(write, root, change, message):
    write(COMPLETE)
    index = _index(root)
    index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
    with pytest.raises(ValueError, match=f'train.index.json.*{message}'):
        JSONLinesDataset(str(root))
    index.write_text('{')
    with pytest.raises(ValueError, match='train.index.json: it is no JSON object'):
        JSONLinesDataset(str(root))


def test_a_masks_path_is_not_for_prepared_files(write, root):
    write({**COMPLETE, 'mask': 'masks/1.png'})
    _index(root)
    with pytest.raises(ValueError, match="'mask' must be an RLE or null"):
        JSONLinesDataset(str(root)).get_data_info(0)


def test_in_a_mixture(write, root):
    write({**COMPLETE, 'image': 'two.png', 'height': 40, 'width': 20, 'image_key': 'coco/2', 'mask': None}, split='val')
    write(COMPLETE, {**COMPLETE, 'image': 'two.png', 'ref_id': 9, 'image_id': 2, 'image_key': 'coco/2', 'mask': None})
    _index(root)
    mixture = ReferringMixture([{'type': 'JSONLinesDataset', 'data_root': str(root)}])
    assert [mixture.get_data_info(index)['ref_id'] for index in range(len(mixture))] == [8, 8]


def test_many_phrases_open_without_being_parsed(tmp_path, monkeypatch):
    number = 340_000
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'images').mkdir()
    line = json.dumps(COMPLETE).encode() + b'\n'
    (tmp_path / 'annotations/train.jsonl').write_bytes(line * number)
    index = LineIndex(np.full(number, len(line)), np.full(number, 2), ['coco/7'])
    (tmp_path / 'annotations/train.index.json').write_bytes(index.to_json())
    parsed = []
    monkeypatch.setattr('mmrefseg.datasets.json_line_format.referent_of', lambda *args: parsed.append(args))
    dataset = JSONLinesDataset(str(tmp_path))
    assert len(dataset) == 2 * number and not parsed
    monkeypatch.undo()
    assert dataset.get_data_info(-1)['text'] == 'b'
