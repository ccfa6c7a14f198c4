"""The files of RefShapes, and what happens to data that is there already."""
import json
import os
import pickle
import pickletools
from collections import Counter
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmrefseg.datasets.refshapes import SHAPES, SPLITS, make_refshapes, writer
from mmrefseg.datasets.refshapes.expressions import KINDS
from mmrefseg.datasets.refshapes.file_layouts import RefCOCOLayout
from mmrefseg.errors import FileError
from mmrefseg.utils.locks import locked_file

NUM_IMAGES = {'train': 8, 'val': 2, 'testA': 2, 'testB': 2}
SEED = 2  # one whose few images hold every form of segmentation


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    out_dir = tmp_path_factory.mktemp('data') / 'refshapes'
    assert make_refshapes(out_dir, NUM_IMAGES, seed=SEED)
    return out_dir


@pytest.fixture(scope='module')
def refs(folder) -> list[dict]:
    return pickle.loads((folder / 'refs(unc).p').read_bytes())  # noqa: S301  (made above)


@pytest.fixture(scope='module')
def instances(folder) -> dict:
    return json.loads((folder / 'instances.json').read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_same_bytes_with_any_number_of_workers(folder, tmp_path):
    make_refshapes(tmp_path / 'two', NUM_IMAGES, seed=SEED, workers=2)
    assert contents(tmp_path / 'two') == contents(folder)


def test_image_depends_on_neither_number_nor_other_splits(folder, tmp_path):
    make_refshapes(tmp_path, {'val': 2}, seed=SEED)
    names = sorted((folder / 'images').iterdir())
    assert (tmp_path / 'images/COCO_train2014_000000000002.jpg').read_bytes() == names[9].read_bytes()


def test_refs_look_like_refcocos(refs, instances):
    annotations = {annotation['id']: annotation for annotation in instances['annotations']}
    assert [ref['ref_id'] for ref in refs] == list(range(len(refs)))
    assert Counter(ref['split'] for ref in refs).keys() == set(SPLITS)
    for ref in refs:
        assert ref.keys() == {'ref_id', 'ann_id', 'category_id', 'image_id', 'file_name', 'split', 'sent_ids',
                              'sentences'}
        annotation = annotations[ref['ann_id']]
        assert (ref['image_id'], ref['category_id']) == (annotation['image_id'], annotation['category_id'])
        assert ref['file_name'] == f'COCO_train2014_{ref["image_id"]:012d}_{ref["ann_id"]}.jpg'
        assert ref['sent_ids'] == [sentence['sent_id'] for sentence in ref['sentences']]
        assert 1 <= len(ref['sentences']) <= 3
        for sentence in ref['sentences']:
            assert sentence.keys() == {'sent_id', 'sent', 'raw', 'tokens', 'kind'}
            assert sentence['sent'] == sentence['raw'].lower().rstrip('.') == ' '.join(sentence['tokens'])
            assert sentence['kind'] in KINDS
    sent_ids = [sent_id for ref in refs for sent_id in ref['sent_ids']]
    assert sent_ids == list(range(len(sent_ids)))


def test_instances_follow_coco(folder, instances):
    coco = COCO(folder / 'instances.json')
    assert [category['name'] for category in coco.loadCats(coco.getCatIds())] == list(SHAPES)
    assert len(coco.imgs) == sum(NUM_IMAGES.values())
    for image in coco.imgs.values():
        assert image['file_name'] == f'COCO_train2014_{image["id"]:012d}.jpg'
        assert cv2.imread(str(folder / 'images' / image['file_name'])).shape == (image['height'], image['width'], 3)
    for annotation in instances['annotations']:
        assert annotation.keys() == {'id', 'image_id', 'category_id', 'segmentation', 'area', 'bbox', 'iscrowd'}
        mask = coco.annToMask(annotation)
        assert mask.sum() == pytest.approx(annotation['area'], rel=0.05)
        # A polygon may cut a tip of one pixel at either end.
        np.testing.assert_allclose(annotation['bbox'], cv2.boundingRect(mask), atol=2)


def test_several_polygons_and_run_lengths_occur(instances):
    kinds = Counter('rle' if isinstance(annotation['segmentation'], dict) else len(annotation['segmentation']) > 1
                    for annotation in instances['annotations'])
    assert kinds.keys() == {'rle', True, False}
    assert all(annotation['iscrowd'] == isinstance(annotation['segmentation'], dict)
               for annotation in instances['annotations'])


def test_pickle_holds_plain_python2_data_only(folder):
    opcodes = {opcode.name for opcode, *_ in pickletools.genops((folder / 'refs(unc).p').read_bytes())}
    assert opcodes == {'PROTO', 'EMPTY_LIST', 'EMPTY_DICT', 'MARK', 'APPENDS', 'SETITEMS', 'SHORT_BINSTRING',
                       'BINUNICODE', 'BININT', 'STOP'}


@pytest.fixture
def made(tmp_path) -> Path:
    make_refshapes(tmp_path / 'made', {'val': 2})
    return tmp_path / 'made'


def test_same_settings_leave_the_data_alone(made):
    times = {path: path.stat().st_mtime_ns for path in made.rglob('*')}
    assert make_refshapes(made, {'val': 2}, image_size=(112, 112)) is False
    assert {path: path.stat().st_mtime_ns for path in made.rglob('*')} == times


def test_other_settings_need_overwrite(made, tmp_path):
    before = contents(made)
    with pytest.raises(FileError, match=r'other settings.*--overwrite'):
        make_refshapes(made, {'val': 2}, seed=1)
    assert contents(made) == before
    assert make_refshapes(made, {'val': 1}, seed=1, overwrite=True)
    make_refshapes(tmp_path / 'fresh', {'val': 1}, seed=1)
    assert contents(made) == contents(tmp_path / 'fresh')


def test_a_link_is_replaced_and_not_what_it_leads_to(made, tmp_path):
    victim = (made / 'images').rename(tmp_path / 'victim')
    before = sorted(os.listdir(victim))
    (made / 'images').symlink_to(victim)
    make_refshapes(made, {'train': 1, 'val': 1}, overwrite=True)
    assert sorted(os.listdir(victim)) == before and not (made / 'images').is_symlink()
    assert len(os.listdir(made / 'images')) == 2


def test_incomplete_data_is_noticed(made):
    next((made / 'images').iterdir()).unlink()
    with pytest.raises(FileError, match='lacks some files'):
        make_refshapes(made, {'val': 2})
    assert make_refshapes(made, {'val': 2}, overwrite=True)


def test_failing_replacement_looks_incomplete(made, monkeypatch):
    monkeypatch.setattr(RefCOCOLayout, 'CONTENTS', (*RefCOCOLayout.CONTENTS, 'missing'))
    with pytest.raises(FileNotFoundError):
        make_refshapes(made, {'val': 2}, overwrite=True)
    assert not (made / writer.SETTINGS_FILE).exists()


def test_foreign_data_is_never_replaced(tmp_path):
    (tmp_path / 'instances.json').write_text('{}')
    with pytest.raises(FileError, match=r'holds instances\.json but no refshapes\.json'):
        make_refshapes(tmp_path, {'val': 1}, overwrite=True)
    assert contents(tmp_path) == {'instances.json': b'{}'}


@pytest.mark.parametrize('workers', [1, 2])
def test_interruption_leaves_the_folder_as_it_was(made, tmp_path, monkeypatch, workers):
    def interrupted_track(pictures, *args, **kwargs):
        yield from islice(pictures, 2)
        raise KeyboardInterrupt

    before = contents(made)
    monkeypatch.setattr(writer, 'track', interrupted_track)
    with pytest.raises(KeyboardInterrupt):
        make_refshapes(tmp_path / 'new', {'val': 5}, workers=workers)
    with pytest.raises(KeyboardInterrupt):
        make_refshapes(made, {'val': 5}, workers=workers, overwrite=True)
    assert list((tmp_path / 'new').iterdir()) == []
    assert contents(made) == before
    assert sorted(path.name for path in made.iterdir()) == sorted([*RefCOCOLayout.CONTENTS, writer.SETTINGS_FILE])


@pytest.mark.parametrize('settings, message', [
    ({'num_images': {'test': 1}}, r"unknown splits \['test'\].*train, val, testA, testB"),
    ({'num_images': {'val': -1}}, 'number of images per split'),
    ({'num_images': {}}, 'at least one in all'),
    ({'image_size': (112, 40)}, '112x40 pixels are too small'),
    ({'layout': 'coco'}, r"unknown format 'coco'.*refcoco, phrasecut"),
    ({'num_images': {'testA': 1}, 'layout': 'phrasecut'}, r"unknown splits \['testA'\].*train, val, test, miniv"),
    ({'seed': -1}, 'seed must not be negative'),
    ({'workers': 0}, 'workers must be 1 or more, got 0'),
])
def test_bad_settings(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        make_refshapes(tmp_path / 'new', **settings)
    assert not (tmp_path / 'new').exists()


def test_one_process_at_a_time(tmp_path):
    with locked_file(tmp_path / writer.LOCK, ''), \
            pytest.raises(FileError, match='is being made in .* by another process'):
        make_refshapes(tmp_path, {'val': 1})
    assert make_refshapes(tmp_path, {'val': 1})


def test_what_another_process_made_meanwhile_stays(tmp_path, monkeypatch):
    """It ends between this one's look at the folder and its lock."""
    def make_first(*args):
        monkeypatch.undo()
        make_refshapes(tmp_path, {'val': 1})
        times.update((path, path.stat().st_mtime_ns) for path in tmp_path.rglob('*'))
        return locked_file(*args)

    times = {}
    monkeypatch.setattr(writer, 'locked_file', make_first)
    assert not make_refshapes(tmp_path, {'val': 1})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == times
