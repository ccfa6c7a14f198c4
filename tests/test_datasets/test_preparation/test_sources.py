import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmrefseg.datasets import JSONLinesDataset, RefCOCODataset, ReferringLMDBDataset
from mmrefseg.datasets.preparation import RECIPES, prepare, read_manifest, verify
from mmrefseg.datasets.preparation.file_catalogue import Catalogue
from mmrefseg.datasets.preparation.sources import Source
from mmrefseg.structures.mask_formats import draw_mask


def _zip(path, folder, *files):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, 'w', compression=zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f'{folder}/{file.name}')


@pytest.mark.parametrize('lmdb', [False, True])
@pytest.mark.parametrize('workers', [1, 2])
def test_from_zip_archives(root, tmp_path, lmdb, workers):
    _zip(tmp_path / 'src/refcoco.zip', 'refcoco', root / 'refs(unc).p', root / 'instances.json')
    _zip(tmp_path / 'src/train2014.zip', 'train2014', *(root / 'images').iterdir())
    prepare('refshapes', [tmp_path / 'src'], tmp_path / 'out', lmdb=lmdb, workers=workers)
    shutil.rmtree(tmp_path / 'src')
    assert verify(tmp_path / 'out') == []
    pipeline = [{'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}]
    dataset_class = ReferringLMDBDataset if lmdb else JSONLinesDataset
    for ours, theirs in zip(dataset_class(str(tmp_path / 'out'), pipeline=pipeline),
                            RefCOCODataset(str(root), pipeline=pipeline), strict=True):
        np.testing.assert_array_equal(ours['img'], theirs['img'])
        np.testing.assert_array_equal(ours['gt_seg_map'], theirs['gt_seg_map'])


def test_files_here_and_there(root, tmp_path):
    """Three data sets below one folder, one of them zipped, too; the images elsewhere."""
    for name in ('refcoco', 'refcoco+', 'refcocog'):
        (tmp_path / 'data' / name).mkdir(parents=True)
        for file in ('instances.json', 'refs(unc).p'):
            shutil.copy(root / file, tmp_path / 'data' / name)
    _zip(tmp_path / 'data/refcoco.zip', 'refcoco', root / 'refs(unc).p', root / 'instances.json')
    with pytest.raises(ValueError, match=r'3 folders hold refs\(unc\).p, instances.json: '):
        prepare('refshapes', [tmp_path / 'data'], tmp_path / 'out')
    source = Source(RECIPES['refcoco-unc'], Catalogue([tmp_path / 'data']), tmp_path / 'work')
    assert source.data_root == tmp_path / 'data/refcoco'
    with pytest.raises(FileNotFoundError, match='None of the 3 images .* from http://images.cocodataset.org'):
        source.find_images(['one.jpg', 'two.png', 'three.jpg'])
    for name in ('train2014', 'small'):
        shutil.copytree(root / 'images', tmp_path / 'data/coco' / name)
    source = Source(RECIPES['refcoco-unc'], Catalogue([tmp_path / 'data']), tmp_path / 'work')
    (tmp_path / 'data/coco/small/one.jpg').write_bytes(b'')
    assert source.find_images(['one.jpg', 'none.jpg'])['one.jpg'].path.endswith('train2014/one.jpg')
    (tmp_path / 'data/coco/train2014').rename(tmp_path / 'data/coco/large')
    source = Source(RECIPES['refcoco-unc'], Catalogue([tmp_path / 'data']), tmp_path / 'work')
    with pytest.raises(ValueError, match='There are different files one.jpg'):
        source.find_images(['one.jpg'])


def test_several_folders_in_an_archive(root, tmp_path):
    """Of which --src cannot name one."""
    (tmp_path / 'src').mkdir()
    with zipfile.ZipFile(tmp_path / 'src/a.zip', 'w') as archive:
        for folder in ('one', 'two'):
            for file in ('refs(unc).p', 'instances.json'):
                archive.write(root / file, f'{folder}/{file}')
    with pytest.raises(ValueError, match='2 folders hold .*a.zip/one, .*a.zip/two. To mend it, unpack the archive'):
        prepare('refshapes', [tmp_path / 'src'], tmp_path / 'out')


def test_missing_annotations(root, tmp_path):
    (root / 'instances.json').unlink()
    with pytest.raises(FileNotFoundError, match='^instances.json missing: .*/refcoco.zip .*/train2014.zip'):
        prepare('refcoco-unc', [root], tmp_path / 'out')


def test_users_own_data(root, tmp_path):
    (root / 'annotations').mkdir()
    (root / 'annotations/mine.jsonl').write_text(
        '{"image": "one.jpg", "expression": "ä", "mask": [[2, 2, 12, 2, 12, 12, 2, 12]], "my": {"key": 1}}\n'
        '{"image": "two.png", "expressions": ["b", "c"], "mask": null}\n')
    own = JSONLinesDataset(str(root), 'mine')
    for lmdb, dataset_class in ((True, ReferringLMDBDataset), (False, JSONLinesDataset)):
        prepare('jsonl', [root], tmp_path / str(lmdb), lmdb=lmdb)
        dataset = dataset_class(str(tmp_path / str(lmdb)), 'mine')
        assert dataset.images_by_split() == own.images_by_split()
        samples = [(dataset.get_data_info(index), own.get_data_info(index)) for index in range(3)]
        for ours, theirs in samples:
            assert {key: ours[key] for key in theirs.keys() - {'img_path', 'image_folder', 'segmentation'}} == {
                key: theirs[key] for key in theirs.keys() - {'img_path', 'image_folder', 'segmentation'}}
        np.testing.assert_array_equal(draw_mask(samples[0][0]['segmentation'], 24, 32),
                                      draw_mask(samples[0][1]['segmentation'], 24, 32))
        assert samples[1][0]['segmentation'] is None


def _write_lines(root, *lines):
    (root / 'annotations').mkdir(parents=True)
    (root / 'annotations/mine.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


def _zip_all(folder, path):
    with zipfile.ZipFile(path, 'w') as archive:
        for file in folder.rglob('*'):
            archive.write(file, f'mine/{file.relative_to(folder)}')
    shutil.rmtree(folder)


def _line(**changes):
    return {'image': 'one.jpg', 'expression': 'a', 'mask': [[2, 2, 12, 2, 12, 12, 2, 12]], **changes}


@pytest.mark.parametrize('zipped, images_in', [(True, 'mine'), (True, 'mine/photos'), (True, 'elsewhere'),
                                               (False, 'elsewhere')])
@pytest.mark.parametrize('lmdb', [False, True])
def test_users_own_files_wherever_they_are(root, tmp_path, monkeypatch, zipped, images_in, lmdb):
    """Neither sizes nor keys are given; the mask is a PNG."""
    own = _write_lines(root, _line(mask='masks/deep/1.png'), _line(), _line(image='two.png', mask=None))
    mask = np.zeros((24, 32), np.uint8)
    mask[3:5, 4:9] = 255
    (own / 'masks/deep').mkdir(parents=True)
    cv2.imwrite(str(own / 'masks/deep/1.png'), mask)
    expected = JSONLinesDataset(str(own), 'mine').images_by_split()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(own, 'src/mine', ignore=shutil.ignore_patterns('images'))
    shutil.copytree(own / 'images', Path('src', images_in, 'images'))
    shutil.copytree(own / 'masks', 'src/mine/images/masks')  # not the mask, but called so
    cv2.imwrite('src/mine/images/masks/deep/1.png', np.full((24, 32), 255, np.uint8))
    if zipped:
        _zip_all(Path('src/mine'), 'src/mine.zip')
    prepare('jsonl', ['src'], 'out', lmdb=lmdb)
    shutil.rmtree(root) if zipped and images_in != 'elsewhere' else None
    assert verify('out') == []
    dataset = (ReferringLMDBDataset if lmdb else JSONLinesDataset)('out', 'mine')
    samples = [dataset.get_data_info(index) for index in range(3)]
    assert [(sample['height'], sample['width']) for sample in samples] == [(24, 32), (24, 32), (40, 20)]
    np.testing.assert_array_equal(draw_mask(samples[0]['segmentation'], 24, 32), mask // 255)
    assert dataset.images_by_split() == expected and len(expected['mine']) == 2


def test_the_users_own_image_is_taken_of_several(root, tmp_path):
    own = _write_lines(tmp_path / 'src/own', _line(image='two.png'))
    shutil.copytree(root / 'images', own / 'images')
    (own / 'images/one.jpg').rename(own / 'images/two.png')
    _zip_all(own, tmp_path / 'src/own.zip')
    prepare('jsonl', [tmp_path / 'src', root], tmp_path / 'out')
    assert verify(tmp_path / 'out') == []
    assert JSONLinesDataset(str(tmp_path / 'out'), 'mine').get_data_info(0)['height'] == 24


@pytest.mark.parametrize('image, mask, message', [
    ('none.jpg', None, 'line 1: height and width .* from the image none.jpg: no such file in .*src. Mend the path'),
    ('one.jpg', 'masks/none.png', 'ref_id 1: .*masks/none.png'),
    ('one.jpg', 'masks/1.png', 'ref_id 1: There are different files masks/1.png: .* of this data set. Mend it'),
])
def test_users_own_files_that_are_nowhere(root, tmp_path, image, mask, message):
    _write_lines(tmp_path / 'src', _line(image=image, mask=mask))
    shutil.copytree(root / 'images', tmp_path / 'src/images')
    for name in ('here', 'there'):
        (tmp_path / 'src' / name / 'masks').mkdir(parents=True)
        (tmp_path / 'src' / name / 'masks/1.png').write_text(name)
    with pytest.raises(ValueError, match=message):
        prepare('jsonl', [tmp_path / 'src'], tmp_path / 'out')
    prepare('jsonl', [tmp_path / 'src'], tmp_path / 'out', skip_broken=True)
    assert read_manifest(tmp_path / 'out')['splits']['mine']['broken'] == 1


@pytest.mark.parametrize('given', [None, '', 'coco/7'])
def test_the_key_of_a_users_image(root, tmp_path, given):
    own = _write_lines(root, _line(image_key=given))
    prepare('jsonl', [own], tmp_path / 'out')
    for folder in (own, tmp_path / 'out'):
        key, = JSONLinesDataset(str(folder), 'mine').images()
        assert key == (given or 'sha256:' + hashlib.sha256((root / 'images/one.jpg').read_bytes()).hexdigest())


def test_the_keys_of_refshapes(root, tmp_path):
    """Those of the folder; or of the archive, wherever its data are prepared and by whatever way it is come to."""
    (tmp_path / 'link').symlink_to(root)
    prepare('refshapes', [tmp_path / 'link'], tmp_path / 'out')
    original = RefCOCODataset(str(root), image_source=None)
    assert JSONLinesDataset(str(tmp_path / 'out')).images_by_split() == original.images_by_split()
    (tmp_path / 'src').mkdir()
    (tmp_path / 'other').symlink_to(tmp_path / 'src')
    shutil.copytree(root, tmp_path / 'copy')
    _zip_all(tmp_path / 'copy', tmp_path / 'src/shapes.zip')
    for number, folder in enumerate(('src', 'other')):
        prepare('refshapes', [tmp_path / folder], tmp_path / str(number))
        assert JSONLinesDataset(str(tmp_path / str(number)), 'val').images() == {
            f'{tmp_path}/src/shapes.zip/mine/3'}


def test_users_own_data_without_broken_lines(root, tmp_path):
    (root / 'annotations').mkdir()
    (root / 'annotations/mine.jsonl').write_text(
        '{"image": "one.jpg", "expression": "a", "mask": null}\n[]\n{"image": "two.png", "expression": "b"}\n')
    with pytest.raises(ValueError, match='mine.jsonl, line 2: expected an object'):
        prepare('jsonl', [root], tmp_path / 'out')
    prepare('jsonl', [root], tmp_path / 'out', skip_broken=True)
    counts = read_manifest(tmp_path / 'out')['splits']['mine']
    assert counts == {'refs': 1, 'images': 1, 'expressions': 1, 'broken': 2}
