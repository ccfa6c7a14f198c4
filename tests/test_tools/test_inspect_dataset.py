"""The page about one's own data."""
import json
import sys

import numpy as np
import pytest
from helpers.load_script import load_script
from PIL import Image

from mmrefseg.__main__ import main

HOSTILE = '<script>alert(1)</script>'


@pytest.fixture
def folder(tmp_path):
    """Two splits: one picture in both, twice the same words; a tiny, an empty and a misfitting mask."""
    (tmp_path / 'images').mkdir()
    (tmp_path / 'annotations').mkdir()
    shades = np.random.default_rng(0).integers(0, 255, (8, 9, 3), np.uint8)
    picture = Image.fromarray(shades).resize((90, 80))
    picture.save(tmp_path / 'images/a.png')
    picture.save(tmp_path / 'images/b.jpg', quality=80)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (80, 90)).save(tmp_path / 'images/turned.jpg', exif=exif)
    square, tiny = [[10, 10, 30, 10, 30, 30, 10, 30]], [[0, 0, 2, 0, 2, 2, 0, 2]]
    lines = [{'expression': HOSTILE, 'mask': square}, {'expression': 'the cup', 'mask': square},
             {'expression': 'The  cup', 'mask': tiny}, {'expression': 'a giraffe', 'mask': None},
             {'expression': 'red ' * 30, 'mask': square},
             {'expression': 'x', 'mask': {'size': [1, 1], 'counts': [1]}},
             {'expression': 'the blue cup', 'mask': square}]
    spoon = {'expression': 'a spoon', 'mask': square}
    for split, image, chosen in (('train', 'a.png', lines), ('val', 'b.jpg', [*lines[:1], spoon])):
        (tmp_path / f'annotations/{split}.jsonl').write_text(
            ''.join(json.dumps({'image': image, **line}) + '\n' for line in chosen))
    with (tmp_path / 'annotations/val.jsonl').open('a') as file:
        file.write(json.dumps({'image': 'turned.jpg', 'expression': 'the cup', 'mask': square}) + '\n')
    return tmp_path


def test_page_and_numbers(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['mmrefseg', 'inspect', str(folder), '--out', str(folder / 'out')])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    main()
    report = json.loads((folder / 'out/inspect.json').read_text())
    assert report['splits']['train'] == {'images': 1, 'lines': 6, 'expressions': 6, 'broken': 1}
    assert report['duplicates'] == ['train: a.png, val: b.jpg (nearly the same)']
    assert report['repeated'] == ['train.jsonl, lines 2, 3: the cup']
    assert report['ambiguous'] == ["train.jsonl, line 2: 'the cup' may also mean line 7, 'the blue cup'"]
    assert report['untrained'] == ['spoon (1 time)']
    assert report['classes']['train'] == {'cup': 3, 'giraffe': 1, 'script': 1}
    assert report['tiny'] == ['train.jsonl, line 3: The  cup (0.056 % of the image)']
    assert report['empty'] == ['train.jsonl, line 4: a giraffe']
    assert [entry[:32] for entry in report['too_long']] == ['train.jsonl, line 5: 32 tokens: ']
    assert 'line 6' in report['broken'][0] and report['positions'] == {'top left': 8}
    assert report['turned'] == ['val: turned.jpg']
    text = (folder / 'out/inspect.html').read_text()
    assert text.index('val: the cup') < text.index('train: ')  # the photo that is turned
    assert HOSTILE not in text and '&lt;script&gt;' in text and '://' not in text
    assert text.index('broken lines, or masks that do not fit: 1.') < text.index('pictures in two splits: 1.')
    assert 'Expressions of several lines of one image: 1</h2><p>Say more, or unite the masks.</p>' in text
    assert 'less than 0.1 % of their image: 1</h2><p>Are they meant?</p>' in text
    assert 'inspect.html shows more' in capsys.readouterr().out


def test_small_masks_are_framed():
    """They could hardly be seen in a small picture."""
    draw = load_script('tools/analysis_tools/inspect_dataset.py').framed_picture
    image, mask = np.zeros((100, 120, 3), np.uint8), np.zeros((100, 120), np.uint8)
    assert not draw(image, mask).any() and not image.any()
    mask[50:54, 60:63] = 255
    coloured = draw(image, mask).any(2)
    rows, columns = coloured.any(1).nonzero()[0], coloured.any(0).nonzero()[0]
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (48, 56, 58, 65)
    assert coloured.sum() == mask.astype(bool).sum() + 2 * (9 + 8) - 4, 'the referent, and a line around it'
    mask[:20] = 1
    assert (draw(image, mask).any(2) == mask.astype(bool)).all()
