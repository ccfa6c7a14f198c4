import struct
import zlib

import numpy as np
import pytest
from helpers.instance_files import write_labels, write_voc
from PIL import Image

from mmrefseg.datasets import VOCPromptDataset
from mmrefseg.registry import DATASETS

_TEST = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 48}, {'type': 'LoadReferringMask'},
         {'type': 'PackRefSegInputs'})
_NAME = '2007_000032'


@pytest.fixture
def root(tmp_path):
    return write_voc(tmp_path / 'VOC2012')


def test_samples(root):
    dataset = VOCPromptDataset(str(root))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [(info['ann_id'], info['category_id'], info['text'], info['kind']) for info in infos] == [
        (2007000032001, 18, 'the large sofa in the middle', 'location'),
        (2007000032002, 8, 'the cat on the left', 'location'),
        (2007000032003, 8, 'the cat on the right', 'location'),
    ]
    assert infos[0]['img_path'] == str(root / 'JPEGImages' / f'{_NAME}.jpg')
    assert {(info['height'], info['width'], info['image_id'], info['ref_id'] == info['sent_id']) for info in infos} == {
        (40, 50, 2007000032, True)}


def test_masks_through_the_pipeline(root):
    dataset = DATASETS.build({'type': 'VOCPromptDataset', 'data_root': str(root), 'pipeline': _TEST})
    objects = np.asarray(Image.open(root / 'SegmentationObject' / f'{_NAME}.png'))
    for index in range(3):
        assert np.array_equal(dataset[index]['data_samples'].gt_sem_seg.data[0], objects == index + 1)
    assert int(dataset[1]['data_samples'].gt_sem_seg.data.sum()) == 8 * 12


def test_images(root):
    dataset = VOCPromptDataset(str(root), 'train')
    assert dataset.images_by_split() == {'train': {'voc/2008_000007'}, 'val': {f'voc/{_NAME}'}}
    assert dataset.image_key(dataset.get_data_info(0)) == 'voc/2008_000007'


def test_the_category_is_that_of_most_pixels(root):
    path = root / 'SegmentationClass' / f'{_NAME}.png'
    classes = np.array(Image.open(path))
    classes[11:15, 7:15] = 255
    classes[15:17, 7:15] = 3
    write_labels(path, classes)
    assert VOCPromptDataset(str(root)).get_data_info(1)['category_id'] == 8


@pytest.mark.parametrize('name', ['ImageSets/Segmentation/val.txt', 'JPEGImages', 'SegmentationClass',
                                  'SegmentationObject'])
def test_missing_file_is_named(root, name):
    (root / name).rename(root / 'hidden')
    with pytest.raises(FileNotFoundError) as error:
        VOCPromptDataset(str(root))
    assert str(error.value).startswith(f'{root / name} is missing')


@pytest.mark.parametrize('text', ['../../etc/passwd', '2007_000032 1', '2007_000032.png'])
def test_bad_list(root, text):
    path = root / 'ImageSets' / 'Segmentation' / 'val.txt'
    path.write_text(f'2007_000032\n{text}\n')
    with pytest.raises(ValueError) as error:
        VOCPromptDataset(str(root))
    assert str(error.value).startswith(f'{path} must hold names such as 2007_000032')


def _bomb() -> bytes:
    """A PNG that says it is 100,000×100,000 pixels large."""
    chunks = b'IHDR' + struct.pack('>IIBBBBB', 100_000, 100_000, 8, 0, 0, 0, 0), b'IDAT' + zlib.compress(b''), b'IEND'
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk)) for chunk in chunks)


@pytest.mark.parametrize('content', [b'', b'no image', _bomb()])
@pytest.mark.parametrize('folder', ['SegmentationClass', 'SegmentationObject'])
def test_broken_labels(root, folder, content):
    path = root / folder / f'{_NAME}.png'
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        VOCPromptDataset(str(root))
    assert str(error.value).startswith(f'{path} is missing, damaged or no PNG')


def test_labels_that_are_cut_off(root):
    path = root / 'SegmentationClass' / f'{_NAME}.png'
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match='is missing, damaged or no PNG'):
        VOCPromptDataset(str(root))


def test_missing_labels(root):
    (root / 'SegmentationObject' / f'{_NAME}.png').unlink()
    with pytest.raises(ValueError, match=rf'SegmentationObject/{_NAME}\.png is missing'):
        VOCPromptDataset(str(root))


def test_labels_in_colours(root):
    path = root / 'SegmentationObject' / f'{_NAME}.png'
    Image.open(path).convert('RGB').save(path)
    with pytest.raises(ValueError, match='no PNG of a palette, as VOC has it .its mode is RGB'):
        VOCPromptDataset(str(root))


def test_labels_of_two_sizes(root):
    write_labels(root / 'SegmentationClass' / f'{_NAME}.png', np.zeros((40, 40), np.uint8))
    with pytest.raises(ValueError, match=r'is \(40, 50\) \(H, W\), but .* \(40, 40\)'):
        VOCPromptDataset(str(root))


@pytest.mark.parametrize('value', [0, 21, 255])
def test_object_without_category(root, value):
    path = root / 'SegmentationClass' / f'{_NAME}.png'
    write_labels(path, np.full((40, 50), value, np.uint8))
    with pytest.raises(ValueError, match=rf'SegmentationObject/{_NAME}\.png: object 1 has no pixel of a category'):
        VOCPromptDataset(str(root))
    dataset = VOCPromptDataset(str(root), lazy_init=True)
    dataset.broken = []
    dataset.full_init()
    assert len(dataset) == 0 and len(dataset.broken) == 1
