import numpy as np
import pytest
import torch
from benchmarking.coco_like import write_coco_like
from benchmarking.published_loader import PublishedLoader, write_published_lmdb
from torch.utils.data import default_collate

from mmrefseg.datasets import RefCOCODataset

SIZE = 96
PIPELINE = [dict(type='LoadReferringImage'), dict(type='LoadReferringMask'), dict(type='Letterbox', size=SIZE),
            dict(type='SampleSentence'), dict(type='PackRefSegInputs')]


@pytest.fixture(scope='module')
def both(tmp_path_factory) -> tuple[RefCOCODataset, PublishedLoader]:
    root = write_coco_like(tmp_path_factory.mktemp('coco'), 3)
    ours = RefCOCODataset(root, unit='ref', pipeline=PIPELINE)
    write_published_lmdb(root / 'published.lmdb', (ours.get_data_info(index) for index in range(len(ours))))
    return ours, PublishedLoader(root / 'published.lmdb', SIZE)


def test_images_and_masks_equal_ours(both):
    ours, published = both
    assert len(published) == len(ours) > 3
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (
        (122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)))
    for index in range(len(ours)):
        image, text, mask = published[index]
        sample = ours[index]
        assert image.dtype == mask.dtype == torch.float32
        assert torch.allclose(image, (sample['inputs'] - mean) / std, atol=1e-5)
        assert torch.equal((mask >= 0.5).to(torch.uint8), sample['data_samples'].gt_sem_seg.data[0])
        assert text in [sentence['text'] for sentence in ours.get_data_info(index)['sentences']]
        assert 0 < mask.mean() < 1


def test_every_expression_is_drawn(both):
    ours, published = both
    expected = {sentence['text'] for sentence in ours.get_data_info(0)['sentences']}
    np.random.seed(0)
    assert {published[0][1] for _ in range(40)} == expected


def test_batches(both):
    images, texts, masks = default_collate([both[1][0], both[1][1]])
    assert (images.shape, len(texts), masks.shape) == ((2, 3, SIZE, SIZE), 2, (2, SIZE, SIZE))
