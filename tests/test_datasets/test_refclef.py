import pickle

import numpy as np
import pytest
from helpers.refclef_files import tiny_refclef, write_refclef
from helpers.refcoco_files import write_refcoco

from mmrefseg.datasets import RefCLEFDataset
from mmrefseg.registry import DATASETS
from mmrefseg.structures.mask_formats import draw_mask

_TEST = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 48}, {'type': 'LoadReferringMask'},
         {'type': 'PackRefSegInputs'})


@pytest.fixture
def root(tmp_path):
    return write_refclef(tmp_path / 'tiny')


def test_samples(root):
    info = RefCLEFDataset(str(root)).get_data_info(1)
    assert (info['text'], info['ann_id'], info['image_id'], info['ref_id']) == ('red cup', '1_1', 1, 0)
    assert info['img_path'] == str(root / 'images' / '00/images/1.jpg')


def test_a_list_of_rles_is_united(root):
    info = RefCLEFDataset(str(root)).get_data_info(0)
    mask = np.zeros((24, 32), np.uint8)
    mask[:, [0, -1]] = 1
    assert np.array_equal(draw_mask(info['segmentation'], 24, 32), mask)


@pytest.mark.parametrize('split, area', [('val', 80), ('testA', 100), ('testB', 24 * 32)])
def test_other_outlines_through_the_pipeline(root, split, area):
    dataset = DATASETS.build({'type': 'RefCLEFDataset', 'data_root': str(root), 'split': split, 'pipeline': _TEST})
    assert int(dataset[0]['data_samples'].gt_sem_seg.data.sum()) == area


def test_a_ref_of_two_splits_is_in_both(root):
    splits = {split: [info['ref_id'] for info in map(dataset.get_data_info, range(len(dataset)))]
              for split in ('train', 'val', 'testA', 'testB')
              for dataset in [RefCLEFDataset(str(root), split=split)]}
    assert splits == {'train': [0, 0], 'val': [1], 'testA': [2, 3], 'testB': [3]}
    with pytest.raises(ValueError, match=r"no split 'testC'\. It has: 'testA' \(2 refs\), 'testB' \(1 refs\), 'train'"):
        RefCLEFDataset(str(root), split='testC')


def test_images(root):
    dataset = RefCLEFDataset(str(root), lazy_init=True)
    assert dataset.images_by_split() == {
        'train': {'saiapr/1'}, 'val': {'saiapr/2'}, 'testA': {'saiapr/3'}, 'testB': {'saiapr/3'}}
    assert dataset.image_key({'image_id': 1}) == 'saiapr/1'


def test_berkeley_has_one_test_split(tmp_path):
    content = tiny_refclef()
    for ref in content['refs']:
        ref['split'] = 'test'
    root = write_refcoco(tmp_path, content, 'berkeley')
    assert len(RefCLEFDataset(str(root), 'berkeley', 'test')) == 5


@pytest.mark.parametrize('ann_id, message', [
    ('9_9', r"ref_id 0 refers to id 9_9, which is not among the annotations of instances\.json"),
    (1.5, r"ref_id 0: 'ann_id' must be of type int or str, got float"),
    ([1], r"ref_id 0: 'ann_id' must be of type int or str, got list"),
])
def test_bad_ann_id(root, ann_id, message):
    refs = tiny_refclef()['refs']
    refs[0]['ann_id'] = ann_id
    (root / 'refs(unc).p').write_bytes(pickle.dumps(refs))
    with pytest.raises(ValueError, match=rf'refs\(unc\)\.p: {message}'):
        RefCLEFDataset(str(root))


@pytest.mark.parametrize('outline', [[], [{'size': [24, 32], 'counts': [1]}], [{'size': [2, 2], 'counts': '4'}]])
def test_bad_outline(tmp_path, outline):
    content = tiny_refclef()
    content['annotations'][0]['segmentation'] = outline
    dataset = RefCLEFDataset(str(write_refcoco(tmp_path, content)), pipeline=_TEST)
    with pytest.raises(ValueError, match=r'The mask of annotation 1_1 of the image .*1\.jpg cannot be drawn'):
        dataset[0]


@pytest.mark.parametrize('outline, place', [
    ([None], r'\[0\]'), ([{'size': [2, 2]}], r'\[0\]\.counts'), ([5], r'\[0\]')])
def test_outline_of_wrong_shape(tmp_path, outline, place):
    content = tiny_refclef()
    content['annotations'][0]['segmentation'] = outline
    with pytest.raises(ValueError, match=rf'instances\.json: annotation 1_1: segmentation{place} must be a'):
        RefCLEFDataset(str(write_refcoco(tmp_path, content)))
