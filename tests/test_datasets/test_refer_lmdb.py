import io
import json
import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from mmengine.config import Config
from torch.utils.data import ConcatDataset, DataLoader

import mmrefseg
from mmrefseg.datasets import JSONLinesDataset, RefCOCODataset, ReferringLMDBDataset, ReferringMixture
from mmrefseg.datasets.json_line_format import LineIndex
from mmrefseg.datasets.preparation import prepare
from mmrefseg.datasets.refer_lmdb import write_split
from mmrefseg.datasets.transforms import FastLetterbox, Letterbox
from mmrefseg.registry import DATASETS
from mmrefseg.structures.mask_formats import draw_mask, mask_to_rle
from mmrefseg.utils.lmdb_file import LMDBWriter

PIPELINE = [{'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    return write_refcoco(tmp_path_factory.mktemp('source'), tiny_refcoco())


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, source):
    """The tiny data set in an LMDB file; its own images are gone."""
    folder = tmp_path_factory.mktemp('prepared') / 'out'
    prepare('refshapes', [source], folder, lmdb=True)
    return folder


@pytest.mark.parametrize('unit', ['sentence', 'ref'])
@pytest.mark.parametrize('lmdb', [True, False])
def test_samples_are_those_of_the_original(source, prepared, tmp_path, unit, lmdb):
    if lmdb:
        dataset = ReferringLMDBDataset(str(prepared), unit=unit, pipeline=PIPELINE)
    else:
        prepare('refshapes', [source], tmp_path / 'out')
        dataset = JSONLinesDataset(str(tmp_path / 'out'), unit=unit, pipeline=PIPELINE)
    original = RefCOCODataset(str(source), unit=unit, pipeline=PIPELINE)
    assert len(dataset) == len(original) == (4 if unit == 'sentence' else 3)
    for sample, expected in zip(dataset, original, strict=True):
        np.testing.assert_array_equal(sample['img'], expected['img'])
        np.testing.assert_array_equal(sample['gt_seg_map'], expected['gt_seg_map'])
        same = expected.keys() - {'img', 'gt_seg_map', 'img_path', 'image_folder', 'segmentation'}
        assert {key: sample[key] for key in same} == {key: expected[key] for key in same}
        assert sample['segmentation']['size'] == [expected['height'], expected['width']]


def test_images_by_split_need_no_original(source, prepared):
    dataset = ReferringLMDBDataset(str(prepared), lazy_init=True)
    root = os.path.realpath(source)
    assert dataset.images_by_split() == {'train': {f'{root}/{image_id}' for image_id in (1, 2, 3)},
                                         'val': {f'{root}/3'}}
    mixture = ReferringMixture([{'type': 'ReferringLMDBDataset', 'data_root': str(prepared)}], pipeline=PIPELINE)
    assert [mixture[index]['image_id'] for index in range(len(mixture))] == [1, 1, 2]


def test_an_image_is_stored_once_as_it_was(source, prepared):
    content = (prepared / 'data.lmdb').read_bytes()
    for name in ('one.jpg', 'two.png', 'three.jpg'):
        assert (source / 'images' / name).read_bytes() in content
    assert b'three.jpg' in content and not (prepared / 'images').exists()


def test_unknown_split_and_foreign_arguments(prepared, tmp_path):
    with pytest.raises(ValueError, match=r"has no split 'test'. It has: train, val."):
        ReferringLMDBDataset(str(prepared), 'test')
    with pytest.raises(ValueError, match='leave data_prefix out'):
        ReferringLMDBDataset(str(prepared), data_prefix={'img_path': 'images'})
    with pytest.raises(FileNotFoundError, match='data.lmdb is missing'):
        ReferringLMDBDataset(str(tmp_path))
    with pytest.raises(FileNotFoundError, match='use ReferringLMDBDataset'):
        JSONLinesDataset(str(prepared))


def test_a_missing_referent(tmp_path):
    lines = tmp_path / 'train.jsonl'
    element = {'image': 'a.jpg', 'height': 2, 'width': 2, 'expressions': ['a'], 'sent_ids': [0], 'image_id': 0,
               'ref_id': 0, 'ann_id': 0, 'category_id': 0, 'image_key': 'a', 'mask': None}
    lines.write_bytes(2 * (json.dumps(element).encode() + b'\n'))
    index = LineIndex.of(lines.read_bytes().splitlines(keepends=True))
    (tmp_path / 'train.index.json').write_bytes(index.to_json())
    lines.write_bytes(json.dumps(element).encode() + b'\n')
    writer = LMDBWriter(tmp_path / 'data.lmdb')
    write_split(writer, 'train', lines)
    writer.finish({'splits': {'train': {}, 'other': {}}})
    dataset = ReferringLMDBDataset(str(tmp_path))
    assert dataset.get_data_info(0)['img_path'] == f'lmdb://{tmp_path}/data.lmdb#images/a.jpg'
    with pytest.raises(ValueError, match='data.lmdb lacks refs/train/00000001'):
        dataset.get_data_info(1)
    with pytest.raises(ValueError, match='index/other: it is no JSON object'):
        ReferringLMDBDataset(str(tmp_path), 'other')


@pytest.mark.parametrize('method, workers', [('fork', 2), ('forkserver', 1)])
def test_many_processes_read_at_once(source, prepared, tmp_path, method, workers):
    prepare('refshapes', [source], tmp_path / 'out')
    both = ConcatDataset([ReferringLMDBDataset(str(prepared), pipeline=PIPELINE),
                          JSONLinesDataset(str(tmp_path / 'out'), pipeline=PIPELINE)])
    expected = [sample['img'] for sample in both]  # the files are open in this process when it forks
    loader = DataLoader(both, num_workers=workers, collate_fn=list, multiprocessing_context=method)
    for index, (sample, ) in enumerate(loader):
        np.testing.assert_array_equal(sample['img'], expected[index])
        np.testing.assert_array_equal(both[index]['img'], expected[index])


def test_a_small_pickle_without_anything_open(prepared):
    dataset = ReferringLMDBDataset(str(prepared), pipeline=PIPELINE)
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - pickled on this very line
    np.testing.assert_array_equal(copy[1]['img'], dataset[1]['img'])


def test_nothing_is_written_on_reading(prepared):
    before = {path: path.stat().st_mtime_ns for path in (prepared, *prepared.rglob('*'))}
    for path in before:
        path.chmod(0o555)
    try:
        assert len([*ReferringLMDBDataset(str(prepared), pipeline=PIPELINE)]) == 4
        assert {path: path.stat().st_mtime_ns for path in (prepared, *prepared.rglob('*'))} == before
    finally:
        prepared.chmod(0o755)


def test_at_most_45_percent_of_the_published_layout(tmp_path):
    """Five refs on two images, as in RefCOCO, against a pickle a ref with image and mask."""
    noise = np.random.default_rng(0)
    pixels = cv2.resize(noise.integers(0, 256, (60, 80, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    images = [cv2.imencode('.jpg', np.roll(pixels, shift, axis=1))[1].tobytes() for shift in range(40)]
    ours, theirs = LMDBWriter(tmp_path / 'data.lmdb'), LMDBWriter(tmp_path / 'theirs.lmdb')
    lines, published = [], []
    for ref_id in range(100):
        mask = np.zeros((480, 640), np.uint8)
        cv2.ellipse(mask, (320, 240), (60 + ref_id, 50), ref_id, 0, 360, 1, -1)
        texts = ['the second man from the left', 'man in blue', 'guy with the hat']
        lines.append(json.dumps({
            'image': f'COCO_train2014_{2 * ref_id // 5:012d}.jpg', 'height': 480, 'width': 640, 'expressions': texts,
            'sent_ids': [3 * ref_id, 3 * ref_id + 1, 3 * ref_id + 2], 'image_id': 2 * ref_id // 5, 'ref_id': ref_id,
            'ann_id': ref_id, 'category_id': 1, 'image_key': f'coco/{2 * ref_id // 5}', 'mask': mask_to_rle(mask)}))
        png = io.BytesIO(cv2.imencode('.png', 255 * mask)[1].tobytes()).getvalue()
        published.append((str(ref_id), pickle.dumps({
            'img': images[2 * ref_id // 5], 'mask': png, 'cat': 1, 'seg_id': ref_id, 'img_name': 'x', 'num_sents': 3,
            'sents': texts})))
    path = tmp_path / 'train.jsonl'
    path.write_text(''.join(f'{line}\n' for line in lines))
    path.with_suffix('.index.json').write_bytes(LineIndex.of(path.read_bytes().splitlines(keepends=True)).to_json())
    ours.write((f'images/COCO_train2014_{number:012d}.jpg', image) for number, image in enumerate(images))
    write_split(ours, 'train', path)
    ours.finish({'splits': {'train': {}}})
    theirs.write(published)
    theirs.close()
    dataset = ReferringLMDBDataset(str(tmp_path), unit='ref')
    assert draw_mask(dataset.get_data_info(0)['segmentation'], 480, 640).sum() > 5000
    ratio = (tmp_path / 'data.lmdb').stat().st_size / (tmp_path / 'theirs.lmdb').stat().st_size
    assert ratio <= 0.45


def test_a_config_on_lmdb(prepared, tmp_path):
    base = mmrefseg.config_path('_base_/datasets/refcoco_lmdb.py')
    (tmp_path / 'config.py').write_text(
        f"_base_ = '{base}'\n"
        f"dataset = dict(data_root='{prepared}')\n"
        'train_dataloader = dict(dataset=dataset)\n'
        'val_dataloader = dict(dataset=dataset)\n'
        'test_dataloader = val_dataloader\n')
    config = Config.fromfile(tmp_path / 'config.py')
    for split, size, letterbox in (('train', 3, FastLetterbox), ('val', 1, Letterbox)):
        dataset = DATASETS.build(config[f'{split}_dataloader'].dataset)
        assert isinstance(dataset, ReferringLMDBDataset) and dataset.split == split
        assert letterbox in map(type, dataset.pipeline.transforms)
        loader = DataLoader(dataset, batch_size=size, num_workers=1, collate_fn=list)
        batch, = loader
        assert len(batch) == size and batch[0]['inputs'].shape == (3, 448, 448)
    assert Path(config.test_dataloader.dataset.data_root) == prepared
