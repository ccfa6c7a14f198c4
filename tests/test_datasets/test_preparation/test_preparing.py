import hashlib
import json
import os
import shutil
import signal
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmrefseg.datasets import JSONLinesDataset, RefCOCODataset, ReferringLMDBDataset
from mmrefseg.datasets.preparation import RECIPES, prepare, preparing, read_manifest, splits, verify
from mmrefseg.datasets.preparation.recipes import Counts
from mmrefseg.structures.masks import draw_mask
from mmrefseg.testing.refcoco_files import write_refcoco
from mmrefseg.utils.lmdb_file import LMDBWriter


def _tree(folder):
    """Contents of all files of a folder; an LMDB file's depends on how often it was written."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*')
            if path.is_file() and path.suffix != '.lmdb' and path.name != 'prepared.json'}


def _killed_at(point, out_dir, *args, **kwargs):
    """Prepare in another process, which kills itself when it is about to do its n-th step; False if it has fewer."""
    child = os.fork()
    if child == 0:
        steps = iter(range(point, -1, -1))

        def counted(function):
            def count_and_call(*args, **kwargs):
                if next(steps) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)
            return count_and_call

        for owner, names in ((Path, ('rename', 'mkdir', 'symlink_to')), (shutil, ('rmtree', )),
                             (preparing, ('write_atomically', )), (splits, ('write_atomically', 'check_image')),
                             (LMDBWriter, ('_commit', 'close'))):
            for name in names:
                setattr(owner, name, counted(getattr(owner, name)))
        try:
            prepare(*args, out_dir=out_dir, **kwargs)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent is told
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize('lmdb', [False, True])
def test_killed_anywhere(root, tmp_path, lmdb):
    prepare('refshapes', [root], tmp_path / 'whole', lmdb=lmdb)
    expected = _tree(tmp_path / 'whole')
    dataset_class = ReferringLMDBDataset if lmdb else JSONLinesDataset
    for point in range(1000):
        out_dir = tmp_path / str(point)
        if not _killed_at(point, out_dir, 'refshapes', [root], lmdb=lmdb):
            break
        if (out_dir / '.unfinished').exists():
            with pytest.raises(ValueError, match='not whole'):
                len(dataset_class(str(out_dir)))
        elif out_dir.exists() and any(out_dir.iterdir()):
            assert (out_dir / 'prepared.json').exists()
        if point % 3 == 0:
            _killed_at(point // 2, out_dir, 'refshapes', [root], lmdb=lmdb)
        prepare('refshapes', [root], out_dir, lmdb=lmdb)
        assert _tree(out_dir) == expected
        assert verify(out_dir) == []
        assert not (out_dir / '.unfinished').exists()
        assert len(dataset_class(str(out_dir))) == 4
    assert point > 15


def test_finished_splits_are_not_done_again(root, tmp_path, monkeypatch):
    done = []
    check = splits.check_image

    def check_some(task):
        if len(done) == 3:
            raise OSError('no space left')
        done.append(task.name)
        return check(task)

    monkeypatch.setattr(splits, 'check_image', check_some)
    with pytest.raises(OSError, match='no space'):
        prepare('refshapes', [root], tmp_path / 'out')
    assert done == ['one.jpg', 'two.png', 'three.jpg']
    done.clear()
    prepare('refshapes', [root], tmp_path / 'out')
    assert done == ['three.jpg']  # of val
    assert verify(tmp_path / 'out') == []


def test_a_split_without_its_broken_entries_is_done_again_if_none_may_be_missing(root, tmp_path, monkeypatch):
    content = (root / 'images/three.jpg').read_bytes()
    (root / 'images/three.jpg').write_bytes(b'')
    monkeypatch.setattr(preparing, '_install', lambda *args: None)
    prepare('refshapes', [root], tmp_path / 'out', skip_broken=True)
    with pytest.raises(ValueError, match='three.jpg is empty'):
        prepare('refshapes', [root], tmp_path / 'out')
    (root / 'images/three.jpg').write_bytes(content)
    monkeypatch.undo()
    prepare('refshapes', [root], tmp_path / 'out')
    assert read_manifest(tmp_path / 'out')['splits']['train'] == {'refs': 3, 'images': 3, 'expressions': 4, 'broken': 0}


def test_the_second_run_does_nothing(root, tmp_path):
    assert prepare('refshapes', [root], tmp_path / 'out')
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert not prepare('refshapes', ['/nowhere'], tmp_path / 'out')
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before


def test_an_lmdb_holds_what_is_asked_for_without_one(root, tmp_path):
    prepare('refshapes', [root], tmp_path / 'out', lmdb=True)
    assert not prepare('refshapes', [], tmp_path / 'out')


def test_other_data_is_left_alone(root, tmp_path):
    prepare('refshapes', [root], tmp_path / 'out')
    with pytest.raises(FileExistsError, match='holds refshapes, prepared without --lmdb: choose another'):
        prepare('refshapes', [root], tmp_path / 'out', lmdb=True)
    with pytest.raises(FileExistsError, match='holds refshapes'):
        prepare('refcoco-unc', [root], tmp_path / 'out')
    with pytest.raises(FileExistsError, match='holds images, instances.json, .* was not made by this tool'):
        prepare('refshapes', [root], root)


def test_annotations_that_changed_meanwhile(root, content, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, '_install', lambda *args: None)
    prepare('refshapes', [root], tmp_path / 'out')
    monkeypatch.undo()
    content['refs'][0]['sentences'][0]['sent'] = 'changed'
    write_refcoco(root, content)
    prepare('refshapes', [root], tmp_path / 'out')
    assert JSONLinesDataset(str(tmp_path / 'out')).get_data_info(0)['text'] == 'changed'


def test_the_order_is_kept(root, content, tmp_path):
    """Also where the referents of an image, which is read once, stand apart."""
    content['refs'].insert(3, {**content['refs'][0], 'ref_id': 9})
    write_refcoco(root, content)
    prepare('refshapes', [root], tmp_path / 'out')
    assert [referent['ref_id'] for referent in JSONLinesDataset(str(tmp_path / 'out')).referents()] == [0, 1, 2, 9]


def test_one_at_a_time(root, tmp_path):
    with preparing._alone(tmp_path):
        pass
    (tmp_path / 'out/.unfinished').mkdir(parents=True)
    with preparing._alone(tmp_path / 'out/.unfinished'), pytest.raises(FileExistsError, match='by another process'):
        prepare('refshapes', [root], tmp_path / 'out')
    assert prepare('refshapes', [root], tmp_path / 'out')


@pytest.mark.parametrize('lmdb', [False, True])
def test_the_number_of_workers_changes_nothing(root, tmp_path, lmdb):
    for workers in (1, 2):
        prepare('refshapes', [root], tmp_path / str(workers), lmdb=lmdb, workers=workers)
    assert _tree(tmp_path / '1') == _tree(tmp_path / '2')


@pytest.fixture
def recipe(monkeypatch):
    """Change the recipe of the tiny data set."""

    def change(**changes):
        changed = RECIPES['refshapes']._replace(**changes)
        monkeypatch.setattr(preparing, 'RECIPES', {**RECIPES, 'tiny': changed})

    return change


def test_counts(root, tmp_path, recipe):
    right = {'train': Counts(3, 3, 4), 'val': Counts(1, 1, None)}
    recipe(counts=right)
    prepare('tiny', [root], tmp_path / 'right')
    assert read_manifest(tmp_path / 'right')['warnings'] == []
    recipe(counts={**right, 'train': Counts(3, 3, 5)})
    prepare('tiny', [root], tmp_path / 'few')
    assert read_manifest(tmp_path / 'few')['warnings'] == ['train has 4 expressions; 5 are published']
    for counts, message in (({'train': Counts(4, None, None)}, 'split train has 3 refs, but must have 4'),
                            ({'train': Counts(None, 2, None)}, 'split train has 3 images, but must have 2'),
                            ({'testA': Counts(1, 1, 1)}, 'have no split testA, but tiny has')):
        recipe(counts=counts)
        with pytest.raises(ValueError, match=message):
            prepare('tiny', [root], tmp_path / 'wrong')


def test_broken_entries_count(root, content, tmp_path, recipe):
    content['annotations'][1]['segmentation'] = [[1, 2]]
    content['refs'][2]['ann_id'] = 99
    content['refs'].append({**content['refs'][0], 'ref_id': 9, 'split': 'val', 'image_id': 'one'})
    write_refcoco(root, content)
    recipe(counts={'train': Counts(3, 3, 4)})
    with pytest.raises(ValueError, match='ref_id 2 refers to id 99'):
        prepare('tiny', [root], tmp_path / 'out')
    prepare('tiny', [root], tmp_path / 'out', skip_broken=True)
    counts = read_manifest(tmp_path / 'out')['splits']['train']
    assert counts == {'refs': 1, 'images': 1, 'expressions': 2, 'broken': 2}
    first, second, third = json.loads((tmp_path / 'out/broken.json').read_text())
    assert third['split'] == 'val' and "ref_id 9: 'image_id' must be of type int" in third['entry']
    assert first['split'] == second['split'] == 'train'
    assert 'ref_id 2 refers to id 99' in first['entry']
    assert 'ref_id 1: annotation 12 of the image' in second['entry'] and 'three points' in second['entry']
    assert verify(tmp_path / 'out') == []


@pytest.mark.parametrize('lmdb', [False, True])
@pytest.mark.parametrize('damage, message', [
    (lambda image: image.write_bytes(image.read_bytes()[:-100]), 'one.jpg is cut off'),
    (lambda image: shutil.copy(image.with_name('two.png'), image), r'is \(40, 20\) \(H, W\), but'),
    (lambda image: image.unlink(), 'its image one.jpg is not among the files'),
])
def test_broken_images(root, tmp_path, damage, message, lmdb):
    damage(root / 'images/one.jpg')
    with pytest.raises(ValueError, match=f'split train, ref_id 0: .*{message}.*--skip-broken') as caught:
        prepare('refshapes', [root], tmp_path / 'out', lmdb=lmdb)
    assert '..' not in str(caught.value)
    prepare('refshapes', [root], tmp_path / 'out', lmdb=lmdb, skip_broken=True)
    assert len(json.loads((tmp_path / 'out/broken.json').read_text())) == 1
    assert verify(tmp_path / 'out') == []


def test_names_of_images_that_lead_elsewhere(root, content, tmp_path):
    (tmp_path / 'secret.jpg').write_bytes((root / 'images/one.jpg').read_bytes())
    content['images'][0]['file_name'] = '../../secret.jpg'
    (root / 'instances.json').write_text(json.dumps({key: content[key] for key in ('images', 'annotations')}))
    with pytest.raises(ValueError, match="ref_id 0: the name of its image, '../../secret.jpg', leads out"):
        prepare('refshapes', [root], tmp_path / 'out')


def _zip(path, folder, *files):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, 'w', compression=zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f'{folder}/{file.name}')


@pytest.mark.parametrize('lmdb', [False, True])
@pytest.mark.parametrize('workers', [1, 2])
def test_from_zip_archives(root, tmp_path, recipe, lmdb, workers):
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
    source = preparing.Source(RECIPES['refcoco-unc'], preparing.Catalogue([tmp_path / 'data']), tmp_path / 'work')
    assert source.data_root == tmp_path / 'data/refcoco'
    with pytest.raises(FileNotFoundError, match='None of the 3 images .* from http://images.cocodataset.org'):
        source.find_images(['one.jpg', 'two.png', 'three.jpg'])
    for name in ('train2014', 'small'):
        shutil.copytree(root / 'images', tmp_path / 'data/coco' / name)
    source = preparing.Source(RECIPES['refcoco-unc'], preparing.Catalogue([tmp_path / 'data']), tmp_path / 'work')
    (tmp_path / 'data/coco/small/one.jpg').write_bytes(b'')
    assert source.find_images(['one.jpg', 'none.jpg'])['one.jpg'].path.endswith('train2014/one.jpg')
    (tmp_path / 'data/coco/train2014').rename(tmp_path / 'data/coco/large')
    source = preparing.Source(RECIPES['refcoco-unc'], preparing.Catalogue([tmp_path / 'data']), tmp_path / 'work')
    with pytest.raises(ValueError, match='There are different files one.jpg'):
        source.find_images(['one.jpg'])


def test_missing_annotations(root, tmp_path):
    (root / 'instances.json').unlink()
    with pytest.raises(FileNotFoundError, match='^instances.json missing: .*/refcoco.zip .*/train2014.zip'):
        prepare('refcoco-unc', [root], tmp_path / 'out')
    with pytest.raises(ValueError, match="there is no recipe for 'refcoc', only for refcoco-unc, "):
        prepare('refcoc', [root], tmp_path / 'out')


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
        samples = [(dataset.get_data_info(place), own.get_data_info(place)) for place in range(3)]
        for ours, theirs in samples:
            assert {key: ours[key] for key in theirs.keys() - {'img_path', 'segmentation'}} == {
                key: theirs[key] for key in theirs.keys() - {'img_path', 'segmentation'}}
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
    samples = [dataset.get_data_info(place) for place in range(3)]
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


def test_no_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='^name the folders that hold the files with --src'):
        prepare('refcoco-unc', [], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_what_json_cannot_hold(root, tmp_path, monkeypatch):
    load = RefCOCODataset.load_referents
    monkeypatch.setattr(RefCOCODataset, 'load_referents',
                        lambda self: [{**referent, 'score': np.float32(1)} for referent in load(self)])
    with pytest.raises(ValueError, match='ref_id 0 holds what JSON cannot: .*float32'):
        prepare('refshapes', [root], tmp_path / 'out')


def test_users_own_data_without_broken_lines(root, tmp_path):
    (root / 'annotations').mkdir()
    (root / 'annotations/mine.jsonl').write_text(
        '{"image": "one.jpg", "expression": "a", "mask": null}\n[]\n{"image": "two.png", "expression": "b"}\n')
    with pytest.raises(ValueError, match='mine.jsonl, line 2: expected an object'):
        prepare('jsonl', [root], tmp_path / 'out')
    prepare('jsonl', [root], tmp_path / 'out', skip_broken=True)
    counts = read_manifest(tmp_path / 'out')['splits']['mine']
    assert counts == {'refs': 1, 'images': 1, 'expressions': 1, 'broken': 2}
