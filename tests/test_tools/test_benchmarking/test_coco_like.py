from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarking.coco_like import coco_like_content, write_coco_like

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.structures.mask_formats import draw_mask


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_coco_like(tmp_path_factory.mktemp('coco'), 4)


def test_counts_are_refcocos():
    content = coco_like_content(200)
    refs, sentences = content['refs'], [sentence for ref in content['refs'] for sentence in ref['sentences']]
    assert len(content['annotations']) == 10 * 200
    assert len(refs) == 2.5 * 200
    assert 2.75 < len(sentences) / len(refs) < 2.95
    assert [sentence['sent_id'] for sentence in sentences] == list(range(len(sentences)))
    images = {split: len({ref['image_id'] for ref in refs if ref['split'] == split})
              for split in ('train', 'val', 'testA', 'testB')}
    assert images == {'train': 170, 'val': 15, 'testA': 8, 'testB': 7}
    assert max(Counter(ref['ann_id'] for ref in refs).values()) == 1


def test_pictures_weigh_as_cocos(root):
    files = sorted((root / 'images').iterdir())
    assert len(files) == 4
    for file in files:
        assert cv2.imread(str(file)).shape == (480, 640, 3)
        assert 90_000 < file.stat().st_size < 280_000


def test_outlines_lie_on_what_was_drawn(root):
    """The last object of a picture is covered by none: within, its colour varies less than in the whole picture."""
    content = coco_like_content(4)
    last = [annotation for annotation in content['annotations'] if annotation['image_id'] == 2][-1]
    picture = cv2.imread(str(root / 'images/COCO_train2014_000000000002.jpg')).astype(float)
    inside = picture[draw_mask(last['segmentation'], 480, 640) == 1]
    assert len(inside) > 2000
    assert inside.std(axis=0).mean() < 0.7 * picture.std(axis=(0, 1)).mean()


def test_is_read_as_refcoco(root):
    dataset = RefCOCODataset(root, split='train')
    assert len(dataset) == sum(len(ref['sentences']) for ref in coco_like_content(4)['refs'] if ref['split'] == 'train')
    info = dataset.get_data_info(0)
    assert np.count_nonzero(draw_mask(info['segmentation'], info['height'], info['width'])) > 2000


def test_the_seed_decides(tmp_path):
    assert coco_like_content(3, seed=1) == coco_like_content(3, seed=1) != coco_like_content(3, seed=2)
    write_coco_like(tmp_path, 2, pictures=False)
    assert not any((tmp_path / 'images').iterdir())
    assert (tmp_path / 'instances.json').is_file()
