import json

import pytest

from mmrefseg.datasets.preparation import validate
from mmrefseg.errors import InputError

LINE = {'image': 'one.jpg', 'expression': 'the cup', 'mask': [[2, 2, 12, 2, 12, 12, 2, 12]]}
LINES = [
    LINE,
    {**LINE, 'mask': [[2, 2, 12, 2, 12, None]]},
    {**LINE, 'mask': {'size': [24, 32], 'counts': '0Ph0X'}},
    {**LINE, 'image': 'none.jpg', 'height': 24, 'width': 32},
    {**LINE, 'height': 3, 'width': 4},
    {**LINE, 'mask': 'masks/none.png'},
    {**LINE, 'mask': [[1e6, 2, 12, 2, 12, 12]]},
    {**LINE, 'image': 'two.png'},
    {**LINE, 'mask': [[12, 12, 12, 12, 12, 12]]},
    {**LINE, 'mask': [[40, 2, 50, 2, 50, 12]]},
    {**LINE, 'mask': {'size': [24, 32], 'counts': [24 * 32]}},
    {**LINE, 'mask': None},
]
TROUBLES = {
    2: 'mask[0][5] must be a finite number',
    3: "the 'counts' of its RLE",
    4: 'none.jpg is missing',
    5: 'is (24, 32) (H, W), but its annotations were made for (3, 4)',
    6: 'masks/none.png',
    7: 'near the image',
    9: 'has no pixel inside the image. Mend the outline; or write null',
    10: 'has no pixel',
    11: 'has no pixel',
}


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize('folder, images', [('annotations', None), ('', None), ('elsewhere', 'images')])
def test_every_broken_line_is_named(root, folder, images, workers):
    file = root / folder / 'mine.jsonl'
    file.parent.mkdir(exist_ok=True)
    file.write_text(''.join(f'{json.dumps(line)}\n' for line in LINES))
    number, troubles = validate(file, images and root / images, workers)
    assert number == len(LINES)
    assert len(troubles) == len(TROUBLES)
    for trouble, (place, message) in zip(troubles, TROUBLES.items(), strict=True):
        assert trouble.startswith(f'{file}, line {place}: ') and message in trouble


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.jsonl'):
        validate(tmp_path / 'none.jsonl')


@pytest.mark.parametrize(('content', 'message'), [
    (json.dumps({'images': [], 'annotations': []}, indent=1), 'is COCO annotations, not JSON Lines.*import coco'),
    ('<html></html>', 'is a web page'),
    ('\x89PNG', 'is')])
def test_another_kind_of_file_is_told_once(tmp_path, content, message):
    (tmp_path / 'train.jsonl').write_text(content, encoding='latin-1')
    with pytest.raises(InputError, match=message):
        validate(tmp_path / 'train.jsonl')
