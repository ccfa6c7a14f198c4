import json
import re

import cv2
import pytest

from mmrefseg.datasets.preparation import prepare, read_manifest, verify
from mmrefseg.datasets.preparation.preparing import sha256_of
from mmrefseg.utils.lmdb_file import LMDBWriter


@pytest.fixture(params=[False, True], ids=['lines', 'lmdb'])
def out(request, root, tmp_path):
    prepare('refshapes', [root], tmp_path / 'out', lmdb=request.param)
    return tmp_path / 'out'


def _change_manifest(out, change):
    manifest = json.loads((out / 'prepared.json').read_text())
    change(manifest)
    (out / 'prepared.json').write_text(json.dumps(manifest))


@pytest.mark.parametrize('workers', [1, 2])
def test_all_well(out, workers):
    assert verify(out, workers) == []


def test_changed_files(out):
    for path in (out / 'annotations/train.jsonl', out / 'annotations/val.index.json'):
        path.write_bytes(path.read_bytes().replace(b'1', b'2', 1))
    (out / 'annotations/val.jsonl').unlink()
    troubles = verify(out)
    assert [trouble.rpartition('/')[2].split(':')[0] for trouble in troubles] == [
        'train.jsonl was changed', 'val.index.json was changed', 'val.jsonl is missing']


def test_changed_checksums(out):
    (out / 'annotations/val.images.json').write_text('{}')
    trouble, = verify(out)
    assert 'val.images.json was changed' in trouble
    path = out / 'annotations/val.images.json'
    for content, message in (('{}', 'three.jpg was changed'), ('[]', 'val.images.json: expected an object')):
        path.write_text(content)
        _change_manifest(out, lambda manifest: manifest['files'].update(
            {'annotations/val.images.json': sha256_of(path)}))
        trouble, = verify(out)
        assert message in trouble


def test_counts_of_the_manifest(out):
    _change_manifest(out, lambda manifest: manifest['splits']['val'].update(refs=5, images=2, expressions=3))
    assert [trouble.partition(': ')[2] for trouble in verify(out)] == [
        'split val has 1 refs, but 5 by the manifest', 'split val has 1 images, but 2 by the manifest',
        'split val has 1 expressions, but 3 by the manifest']


@pytest.mark.parametrize('manifest, message', [
    ('{', 'prepared.json is damaged'),
    ('[' * 100_000, 'prepared.json is damaged'),
    ('[]', 'damaged .*expected a dictionary.* Delete'),
    ('{"format_version": 1}', 'of format_version 1, not 2. Delete'),
    ('{"format_version": 2}', "damaged .manifest: 'name' must be of type str, but is missing.. Delete"),
])
def test_broken_manifests(out, manifest, message):
    (out / 'prepared.json').write_text(manifest)
    with pytest.raises(ValueError, match=message):
        verify(out)


@pytest.mark.parametrize('key, value, message', [
    ('lmdb', 0, "'lmdb' must be of type bool, got int"),
    ('splits', [], "'splits' must be of type dict, got list"),
    ('splits', {'val': []}, "split 'val': expected a dictionary"),
    ('splits', {'val': {'refs': 1, 'expressions': 1, 'broken': 0}}, "split 'val': 'images' must be .*missing"),
    ('warnings', {}, "'warnings' must be of type list"),
    ('files', {'data.lmdb': 5}, "files: 'data.lmdb' must be of type str, got int"),
    ('files', {'a/../../b': ''}, "a name in 'files' must be a path below its folder"),
    ('files', {'/etc/passwd': ''}, "a name in 'files' must be a path below its folder"),
    ('files', {'a\0': ''}, 'without control characters'),
])
def test_fields_of_the_manifest(out, key, value, message):
    _change_manifest(out, lambda manifest: manifest.update({key: value}))
    with pytest.raises(ValueError, match=f'prepared.json is damaged .*{message}.*Delete .* prepare'):
        read_manifest(out)


def test_unprepared_folders(root, out):
    with pytest.raises(FileNotFoundError, match='is not prepared'):
        verify(root)
    (out / '.unfinished').mkdir()
    with pytest.raises(ValueError, match='not whole'):
        verify(out)


@pytest.mark.parametrize('out', [False], indirect=True)
def test_images_that_changed(root, out):
    (root / 'images/three.jpg').write_bytes(b'')
    (root / 'images/two.png').write_bytes((root / 'images/one.jpg').read_bytes())
    (root / 'images/one.jpg').unlink()
    first, second, third, fourth = verify(out)
    assert 'split train, line 1: ' in first and 'one.jpg is missing' in first
    assert 'two.png was changed' in second
    assert 'split train, line 3: ' in third and 'split val, line 1: ' in fourth and 'is empty' in fourth


def _flip_a_byte(image):
    content = bytearray(image.read_bytes())
    content[-3] ^= 1
    image.write_bytes(content)


def _paint_it_white(image):
    picture = cv2.imread(str(image))
    picture[:] = 255
    cv2.imwrite(str(image), picture)


@pytest.mark.parametrize('change', [_flip_a_byte, _paint_it_white])
@pytest.mark.parametrize('out', [False], indirect=True)
@pytest.mark.parametrize('workers', [1, 2])
def test_images_that_are_whole_but_others(root, out, change, workers):
    change(root / 'images/three.jpg')
    first, second = verify(out, workers)
    for trouble, split in ((first, 'train'), (second, 'val')):
        assert trouble == (f'{out}/images/three.jpg was changed: its SHA-256 is not the one in '
                           f'{out}/annotations/{split}.images.json')


@pytest.mark.parametrize('out', [True], indirect=True)
def test_an_lmdb_file_whose_content_changed(out):
    """The file's own checksum tells, whatever the manifest says."""
    writer = LMDBWriter(out / 'data.lmdb')
    writer.write([('images/one.jpg', b'no image')])
    writer.close()
    assert ['data.lmdb was changed' in trouble for trouble in verify(out)] == [True]
    _change_manifest(out, lambda manifest: manifest['files'].update({'data.lmdb': sha256_of(out / 'data.lmdb')}))
    trouble, = verify(out)
    assert 'content does not fit its checksum' in trouble


@pytest.mark.parametrize('change, message', [
    (lambda line: {**line, 'mask': {'size': [24, 32], 'counts': '1Ph0'}}, 'split val, line 1: .* cannot be drawn'),
    (lambda line: {**line, 'mask': {'size': [2, 2], 'counts': '04'}}, 'split val, line 1: .* must have the size'),
    (lambda line: {**line, 'image_key': 'coco/3'}, 'index of split val does not name the images'),
])
@pytest.mark.parametrize('out', [False], indirect=True)
def test_lines_that_fit_the_manifest_alone(out, change, message):
    path, index = out / 'annotations/val.jsonl', out / 'annotations/val.index.json'
    path.write_text(json.dumps(change(json.loads(path.read_text()))) + '\n')
    index.write_text(json.dumps({**json.loads(index.read_text()), 'lengths': [path.stat().st_size]}))
    _change_manifest(out, lambda manifest: manifest['files'].update({
        f'annotations/{file.name}': sha256_of(file) for file in (path, index)}))
    trouble, = verify(out)
    assert re.search(message, trouble)
