import numpy as np
import pytest
import torch

from mmrefseg.datasets import PackRefSegInputs
from mmrefseg.structures import RefSegDataSample


def _results() -> dict:
    return {'img': np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3), 'gt_seg_map': np.eye(2, 3, dtype=np.uint8),
            'text': 'left cup', 'sent_id': 4, 'ori_shape': (2, 3), 'warp_matrix': np.eye(3)[:2], 'segmentation': [[1]]}


def test_pack():
    packed = PackRefSegInputs()(_results())
    assert set(packed) == {'inputs', 'data_samples'}
    assert packed['inputs'].dtype == torch.uint8
    assert packed['inputs'].is_contiguous()
    assert packed['inputs'].tolist() == _results()['img'].transpose(2, 0, 1).tolist()
    sample = packed['data_samples']
    assert isinstance(sample, RefSegDataSample)
    assert sample.gt_sem_seg.data.dtype == torch.uint8
    assert sample.gt_sem_seg.data.tolist() == [[[1, 0, 0], [0, 1, 0]]]
    assert set(sample.metainfo_keys()) == {'text', 'sent_id', 'ori_shape', 'warp_matrix'}
    assert sample.text == 'left cup'


def test_pack_mirrored_arrays():
    """Views with negative strides, which torch cannot take as they are."""
    results = _results()
    results.update(img=results['img'][:, ::-1], gt_seg_map=results['gt_seg_map'][:, ::-1])
    packed = PackRefSegInputs()(results)
    assert packed['inputs'][0].tolist() == [[6, 3, 0], [15, 12, 9]]
    assert packed['data_samples'].gt_sem_seg.data.tolist() == [[[0, 0, 1], [0, 1, 0]]]


def test_pack_without_ground_truth():
    results = _results()
    del results['gt_seg_map']
    assert 'gt_sem_seg' not in PackRefSegInputs()(results)['data_samples']


@pytest.mark.parametrize('keys', [('text', ), ['text', 'sent_id']])
def test_meta_keys(keys):
    assert set(PackRefSegInputs(meta_keys=keys)(_results())['data_samples'].metainfo_keys()) == set(keys)
