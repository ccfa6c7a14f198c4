import json

import numpy as np
import pytest
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco

from mmrefseg.datasets import GRefCOCODataset
from mmrefseg.registry import DATASETS
from mmrefseg.structures.mask_formats import draw_mask

_TRAIN = ({'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}, {'type': 'Letterbox', 'size': 48},
          {'type': 'SampleSentence'}, {'type': 'PackRefSegInputs'})
_TEST = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 48}, {'type': 'LoadReferringMask'},
         {'type': 'PackRefSegInputs'})


@pytest.fixture
def content() -> dict:
    return tiny_grefcoco()


@pytest.fixture
def root(tmp_path, content):
    return write_grefcoco(tmp_path / 'tiny', content)


def infos(root, **kwargs):
    dataset = GRefCOCODataset(str(root), split='val', **kwargs)
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def write_refs(root, refs):
    (root / 'grefs(unc).json').write_text(json.dumps(refs))


def test_samples(root):
    keys = 'ref_id', 'sent_id', 'text', 'image_id', 'ann_id', 'ann_ids', 'category_id', 'kind'
    assert [tuple(info[key] for key in keys) for info in infos(root)] == [
        (0, 0, 'both cups', 1, -1, [11, 16], -1, ''),
        (0, 1, 'all that is red', 1, -1, [11, 16], -1, ''),
        (1, 10, 'the corner', 3, -1, [13, 15], 1, ''),
        (2, 20, 'a dog', 2, -1, [], -1, ''),
        (2, 21, 'the sleeping cat', 2, -1, [], -1, ''),
        (3, 30, 'tall man', 2, 12, [12], 1, ''),
    ]
    assert len(GRefCOCODataset(str(root))) == 1


def test_several_targets_are_united_and_crowds_left_out(root, content):
    by_ref = {info['ref_id']: info for info in infos(root, unit='ref')}
    outlines = {annotation['id']: annotation['segmentation'] for annotation in content['annotations']}
    assert by_ref[0]['segmentation'] == {'union': [outlines[11], outlines[16]]}
    assert by_ref[1]['segmentation'] == outlines[13]
    assert by_ref[2]['segmentation'] is None
    assert by_ref[3]['segmentation'] == outlines[12]
    united = np.zeros((24, 32), np.uint8)
    for left, top in ((2, 2), (8, 8), (20, 4)):
        united[top:top + 10, left:left + 10] = 1
    assert np.array_equal(draw_mask(by_ref[0]['segmentation'], 24, 32), united)


def test_pipelines(root):
    dataset = DATASETS.build(
        {'type': 'GRefCOCODataset', 'data_root': str(root), 'split': 'val', 'pipeline': _TEST})
    areas = [int(dataset[i]['data_samples'].gt_sem_seg.data.sum()) for i in range(len(dataset))]
    assert areas == [2 * 100 - 16 + 100, 2 * 100 - 16 + 100, 100, 0, 0, 80]
    train = GRefCOCODataset(str(root), split='val', unit='ref', pipeline=_TRAIN)
    assert [bool(train[i]['data_samples'].gt_sem_seg.data.any()) for i in range(4)] == [True, True, False, True]


def test_images(root):
    dataset = GRefCOCODataset(str(root), lazy_init=True)
    assert dataset.images_by_split() == {'train': {'coco/3'}, 'val': {'coco/1', 'coco/2', 'coco/3'}}
    assert dataset.image_key({'image_id': 5}) == 'coco/5'
    assert dataset.title == f'{root} (unc)'


@pytest.mark.parametrize('ann_id, message', [
    ([], "ref_id 0: 'ann_id' names no annotation but those of crowds"),
    ('11', "ref_id 0: 'ann_id' must be of type int or list, got str"),
    (None, "ref_id 0: 'ann_id' must be of type int or list, got NoneType"),
    ([11, '16'], "ref_id 0: 'ann_id' must be of type int, got str"),
    ([11, [16]], "ref_id 0: 'ann_id' must be of type int, got list"),
    ([11, True], "ref_id 0: 'ann_id' must be of type int, got bool"),
    ([11, 99], 'ref_id 0 refers to id 99, which is not among the annotations of instances.json'),
    ([-1, 11], 'ref_id 0 refers to id -1, which is not among the annotations of instances.json'),
])
def test_bad_ann_id(root, content, ann_id, message):
    content['refs'][0]['ann_id'] = ann_id
    write_refs(root, content['refs'])
    with pytest.raises(ValueError) as error:
        infos(root)
    assert str(error.value).startswith(f'{root}/grefs(unc).json: {message}')


def test_nothing_but_a_crowd(root, content):
    content['refs'][1]['ann_id'] = [15]
    write_refs(root, content['refs'])
    with pytest.raises(ValueError, match="ref_id 1: 'ann_id' names no annotation but those of crowds"):
        infos(root)


def test_broken_refs_can_be_left_out(root, content):
    content['refs'][0]['ann_id'] = []
    write_refs(root, content['refs'])
    dataset = GRefCOCODataset(str(root), split='val', lazy_init=True)
    dataset.broken = []
    dataset.full_init()
    assert len(dataset) == 4
    assert len(dataset.broken) == 1 and 'ref_id 0' in dataset.broken[0]


@pytest.mark.parametrize('text, message', [
    ('[', 'is not a whole JSON file'),
    ('{}', 'must hold a list of refs, but holds an object of type dict'),
    ('[{"split": "val"}, 5]', 'element 1: expected a dictionary, got an object of type int'),
    ('[{"split": 5}]', "element 0: 'split' must be of type str, got int"),
    ('[{"split": "test"}]', "has no split 'val'. It has: 'test' (1 refs)"),
])
def test_refs_of_wrong_shape(root, text, message):
    (root / 'grefs(unc).json').write_text(text)
    with pytest.raises(ValueError) as error:
        infos(root)
    assert 'grefs(unc).json' in str(error.value) and message in str(error.value)


def test_annotation_without_category(root, content):
    del content['annotations'][-1]['category_id']
    (root / 'instances.json').write_text(json.dumps({key: content[key] for key in ('images', 'annotations')}))
    with pytest.raises(ValueError, match=r"instances\.json: annotation 16: 'category_id' must be of type int, but is"):
        infos(root)


def test_missing_refs_name_their_source(root):
    (root / 'grefs(unc).json').unlink()
    with pytest.raises(FileNotFoundError, match=r'(?s)grefs\(unc\)\.json is missing.*henghuiding/gRefCOCO'):
        infos(root)
    (root / 'grefs(mine).json').write_text('[]')
    with pytest.raises(FileNotFoundError, match=r'has grefs\(mine\)\.json: set split_by'):
        infos(root)
