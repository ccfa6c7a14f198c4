import json
import pickle

import numpy as np
import pytest
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut

from mmrefseg.datasets import PhraseCutDataset, ReferringMixture
from mmrefseg.structures.mask_formats import draw_mask

PIPELINE = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 48}, {'type': 'LoadReferringMask'},
            {'type': 'PackRefSegInputs'})


@pytest.fixture
def content():
    return tiny_phrasecut()


@pytest.fixture
def root(tmp_path, content):
    return write_phrasecut(tmp_path / 'tiny', content)


def test_one_phrase(root):
    dataset = PhraseCutDataset(root)
    assert len(dataset) == 3
    assert dataset.get_data_info(1) == {
        'img_path': str(root / 'images' / '1.jpg'), 'height': 24, 'width': 32, 'image_id': 1, 'coco_id': 501,
        'ref_id': 1, 'ann_id': 1, 'sent_id': 1, 'category_id': -1, 'sample_idx': 1, 'task_id': '1__1',
        'ignore_orientation': True, 'image_folder': str(root / 'images'),
        'text': 'dog on grass', 'kind': 'relation', 'instance_boxes': [[2, 2, 6.0, 6.0]],
        'segmentation': {'instances': [[[2, 2, 8, 2, 8, 8, 2, 8]]]},
        'phrase_structure': {'name': 'dog', 'attributes': [], 'relation_ids': [0],
                             'relation_descriptions': [['on', 'grass']], 'type': 'relation'}}


def test_several_instances_are_one_mask(root):
    sample = PhraseCutDataset(root, pipeline=PIPELINE)[0]['data_samples']
    expected = np.zeros((24, 32), np.uint8)
    for left, top in ((2, 2), (12, 4), (20, 12)):
        expected[top:top + 7, left:left + 7] = 1
    assert (sample.gt_sem_seg.data[0].numpy() == expected).all()
    assert (sample.task_id, sample.text) == ('1__0', 'two dogs')


def test_splits(root):
    assert [info['task_id'] for info in PhraseCutDataset(root, 'val_miniv').referents()] == ['3__0', '4__0']
    assert [info['ref_id'] for info in PhraseCutDataset(root, 'val_miniv').referents()] == [0, 1]
    assert PhraseCutDataset(root, 'val_miniv').images() == {'coco/503', 'vg/4'}
    for split in ('testA', 'val_val', '', 'val_'):
        with pytest.raises(ValueError, match='no split .* train, val, test, miniv'):
            PhraseCutDataset(root, split)


def test_images_have_the_keys_of_coco(root):
    dataset = PhraseCutDataset(root)
    assert [dataset.image_key(referent) for referent in dataset.referents()] == ['coco/501', 'coco/501', 'vg/2']
    assert dataset.images_by_split() == {'train': {'coco/501', 'vg/2'}, 'val': {'coco/503'}, 'miniv': {'vg/4'}}
    assert PhraseCutDataset(root, 'val_miniv', lazy_init=True).images() == {'coco/503', 'vg/4'}
    assert PhraseCutDataset(root, 'val_miniv', image_source='mine').images() == {'coco/503', 'mine/4'}
    assert PhraseCutDataset(root, 'val_miniv', image_source=None).images() == {'coco/503', f'{root.resolve()}/4'}


def test_in_a_mixture(tmp_path, content):
    """An image that is in val under another id of Visual Genome, but the same of COCO, is left out."""
    content['images'][2]['coco_id'] = 501
    mixture = ReferringMixture([PhraseCutDataset(write_phrasecut(tmp_path, content), lazy_init=True)])
    assert [mixture.get_data_info(index)['text'] for index in range(len(mixture))] == ['car']


def test_workers_share_the_phrases(root):
    dataset = pickle.loads(pickle.dumps(PhraseCutDataset(root)))  # noqa: S301 - as a spawned worker gets it
    assert dataset.get_data_info(2)['text'] == 'car'


def test_outlines_at_the_edge(tmp_path, content):
    """One point is nothing, two are a line, what is outside is cut off; coordinates are cut towards 0."""
    polygons = [[[[9.9, 9.9]], []], [[[4, 20.7], [9.2, 20]]], [[[-3.5, -0.9], [1, -5], [1, 1], [-2, 1]]], []]
    content['tasks']['train'][0].update(Polygons=polygons)
    info = PhraseCutDataset(write_phrasecut(tmp_path, content)).get_data_info(0)
    assert info['segmentation']['instances'] == [[], [[4, 20, 9, 20]], [[-3, 0, 1, -5, 1, 1, -2, 1]], []]
    mask = draw_mask(info['segmentation'], 24, 32)
    assert mask[20, 4:10].all()
    assert mask[0:2, 0:2].all()
    assert mask.sum() == 6 + 4


def test_broken_tasks_can_be_left_out(tmp_path, content):
    content['tasks']['train'][0]['phrase'] = ''
    dataset = PhraseCutDataset(write_phrasecut(tmp_path, content), lazy_init=True)
    dataset.broken = []
    assert [(phrase['task_id'], phrase['ref_id']) for phrase in dataset.referents()] == [('1__1', 1), ('2__0', 2)]
    [trouble] = dataset.broken
    assert 'task_id 1__0: the phrase is empty' in trouble


def test_phrases_without_an_outline_are_named(tmp_path, content, monkeypatch):
    said = []
    monkeypatch.setattr('mmrefseg.datasets.phrasecut.print_log', lambda message, *_: said.append(message))
    content['tasks']['train'][0].update(Polygons=[[], [[[1, 1]]]])
    dataset = PhraseCutDataset(write_phrasecut(tmp_path, content), pipeline=PIPELINE)
    assert not dataset[0]['data_samples'].gt_sem_seg.data.any()
    [message] = said
    assert message.startswith('Phrases without an outline')
    assert message.endswith('refer_train.json: task_id 1__0')


@pytest.mark.parametrize('outline, visible', [
    ([[-9, 3], [-1, 9]], False), ([[32, 3], [40, 9]], False), ([[3, -9], [9, -1]], False), ([[3, 24], [9, 30]], False),
    ([[-9, 3], [1, 9]], True), ([[40, 30], [31, 23]], True), ([[-5, -5], [40, 30], [-5, 30]], True),
])
def test_outlines_outside_of_their_image_are_named(outline, visible, tmp_path, content, monkeypatch):
    said = []
    monkeypatch.setattr('mmrefseg.datasets.phrasecut.print_log', lambda message, *_: said.append(message))
    content['tasks']['train'][0].update(Polygons=[[outline]])
    PhraseCutDataset(write_phrasecut(tmp_path, content)).referents()
    assert len(said) == (not visible)


@pytest.mark.parametrize('change, message', [
    ({'task_id': 5}, r"refer_train\.json: element 0: 'task_id' must be of type str, got int"),
    ({'image_id': 9}, r'refer_train\.json: task_id 1__0 refers to image 9, which image_data_split\.json .* get both'),
    ({'image_id': None}, "task_id 1__0: 'image_id' must be of type int"),
    ({'Polygons': None}, "task_id 1__0: 'Polygons' must be of type list"),
    ({'Polygons': [[[[1, 1], [2, 2]]], [[[1, 1], [2]]]]}, r'task_id 1__0: Polygons\[1\] must be a list of polygons'),
    ({'Polygons': [7]}, r'Polygons\[0\] must be a list of polygons'),
    ({'Polygons': [[[1, 2, 3, 4]]]}, r'Polygons\[0\] must be a list of polygons'),
    ({'Polygons': [[[['1', 2], [3, 4]]]]}, r'Polygons\[0\] must be a list of polygons'),
    ({'Polygons': [[[[float('nan'), 2], [3, 4]]]]}, r'Polygons\[0\] must be a list of polygons'),
    ({'Polygons': [[[[float('inf'), 2], [3, 4]]]]}, r'Polygons\[0\] must be a list of polygons'),
    ({'Polygons': [[[[1e6, 2], [3, 4]]]]}, r'Polygons\[0\] must be .* in pixels, between -32768 and 32768'),
    ({'Polygons': [[[[-1e6, 2], [3, 4]]]]}, r'Polygons\[0\] must be .* in pixels, between -32768 and 32768'),
    ({'instance_boxes': 3}, "'instance_boxes' must be of type list"),
    ({'phrase': ' '}, 'task_id 1__0: the phrase is empty'),
    ({'phrase_structure': []}, "'phrase_structure' must be of type dict"),
    ({'phrase_structure': {'name': 'dog', 'type': 'name', 'attributes': [1]}}, "'attributes' must be a list of str"),
    ({'phrase_structure': {'name': 'dog', 'type': 'name', 'attributes': []}}, "'relation_descriptions' must be of"),
])
def test_broken_tasks(tmp_path, content, change, message):
    content['tasks']['train'][0].update(change)
    with pytest.raises(ValueError, match=message):
        PhraseCutDataset(write_phrasecut(tmp_path, content))


@pytest.mark.parametrize('change, message', [
    ({'image_id': '1'}, r"image_data_split\.json: element 0: 'image_id' must be of type int"),
    ({'width': None}, "image 1: 'width' must be of type int"),
    ({'coco_id': 'x'}, "image 1: 'coco_id' must be of type int"),
    ({'split': 3}, "image 1: 'split' must be of type str"),
])
def test_broken_images(root, content, change, message):
    (root / 'image_data_split.json').write_text(json.dumps([{**content['images'][0], **change}]))
    with pytest.raises(ValueError, match=message):
        PhraseCutDataset(root)


def test_images_that_are_no_list(root):
    (root / 'image_data_split.json').write_text('{}')
    with pytest.raises(ValueError, match=r'image_data_split\.json must hold a list of images, but .* of type dict'):
        PhraseCutDataset(root)


@pytest.mark.parametrize('name', ['images', 'image_data_split.json', 'refer_train.json'])
def test_missing_files(root, name):
    (root / name).rename(root / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=rf'{name} is missing\. Set data_root .*github\.com/ChenyunWu'):
        PhraseCutDataset(root)
