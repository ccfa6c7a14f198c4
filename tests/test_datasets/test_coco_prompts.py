import json

import pytest
from helpers.instance_files import tiny_coco, write_coco

from mmrefseg.datasets import CocoPromptDataset
from mmrefseg.registry import DATASETS

_TEST = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 48}, {'type': 'LoadReferringMask'},
         {'type': 'PackRefSegInputs'})


@pytest.fixture
def content() -> dict:
    return tiny_coco()


@pytest.fixture
def root(tmp_path, content):
    return write_coco(tmp_path / 'coco', content)


def test_samples(root, monkeypatch):
    logged = []
    monkeypatch.setattr('mmrefseg.datasets.instance_prompts.print_log', lambda message, _: logged.append(message))
    dataset = CocoPromptDataset(str(root))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [(info['ann_id'], info['text']) for info in infos] == [
        (1, 'the dog on the left'),
        (2, 'the dog on the right'),
        (3, 'the large cat in the middle'),
        (4, 'the small cup at the top'),
        (5, 'the cup at the bottom right'),
        (10, 'the cat at the top left'),
    ]
    assert infos[0] == {
        'img_path': str(root / 'val2017' / '000000000007.jpg'), 'height': 80, 'width': 100, 'image_id': 7, 'ref_id': 1,
        'ann_id': 1, 'category_id': 18, 'segmentation': [[0, 30, 20, 30, 20, 50, 0, 50]],
        'text': 'the dog on the left', 'kind': 'location', 'sent_id': 1, 'sample_idx': 0,
        'ignore_orientation': True, 'image_folder': str(root / 'val2017')}
    assert logged == [f'{root} val: 4 of 10 instances left out: crowds, and those whose prompt would fit another one']


def test_pipeline(root):
    dataset = DATASETS.build({'type': 'CocoPromptDataset', 'data_root': str(root), 'pipeline': _TEST})
    assert [int(dataset[i]['data_samples'].gt_sem_seg.data.sum()) for i in range(6)] == [
        400, 400, 5760, 100, 800, 400]


def test_images(tmp_path, content):
    root = write_coco(tmp_path / 'coco', content, 'val2014')
    dataset = CocoPromptDataset(str(root), year=2014, lazy_init=True)
    assert dataset.images_by_split() == {'val': {'coco/7', 'coco/9'}}
    content['images'] = content['images'][:1]
    write_coco(root, content, 'train2014')
    assert dataset.images_by_split() == {'val': {'coco/7', 'coco/9'}, 'train': {'coco/7'}}
    assert dataset.image_key({'image_id': 7}) == 'coco/7'


@pytest.mark.parametrize('name', ['annotations/instances_val2017.json', 'val2017'])
def test_missing_file_is_named(root, name):
    (root / name).rename(root / 'hidden')
    with pytest.raises(FileNotFoundError) as error:
        CocoPromptDataset(str(root))
    assert str(error.value).startswith(f'{root / name} is missing')


@pytest.mark.parametrize('change, message', [
    ({'bbox': [0, 0, 5]}, "annotation 2: 'bbox' must hold four numbers"),
    ({'bbox': [0, 0, 5, '5']}, "annotation 2: 'bbox' must hold four numbers"),
    ({'bbox': [0, 0, 5, float('nan')]}, "annotation 2: 'bbox' must hold four numbers"),
    ({'area': float('inf')}, "annotation 2: 'bbox' must hold four numbers"),
    ({'area': 10**400}, "annotation 2: 'bbox' must hold four numbers"),
    ({'area': '5'}, "annotation 2: 'area' must be of type int or float, got str"),
    ({'bbox': None}, "annotation 2: 'bbox' must be of type list, got NoneType"),
    ({'category_id': 99}, 'annotation 2: category_id 99 is not among the categories'),
    ({'image_id': 99}, 'annotation 2 refers to id 99, which is not among the images'),
    ({'segmentation': 5}, "annotation 2: 'segmentation' must be of type list or dict, got int"),
])
def test_bad_annotation(root, content, change, message):
    content['annotations'][1].update(change)
    path = root / 'annotations' / 'instances_val2017.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError) as error:
        CocoPromptDataset(str(root))
    assert str(error.value).startswith(f'{path}: {message}')


@pytest.mark.parametrize('change, message', [
    ({'categories': {}}, "'categories' must be of type list, got dict"),
    ({'categories': [{'id': 18, 'name': None}]}, "category 18: 'name' must be of type str, got NoneType"),
    ({'images': [{'id': 7, 'file_name': 'a.jpg', 'height': 0, 'width': 5}]},
     "image 7: 'height' and 'width' must be positive, got 0 and 5"),
    ({'annotations': [5]}, 'annotations[0]: expected a dictionary, got an object of type int'),
])
def test_bad_file(root, content, change, message):
    path = root / 'annotations' / 'instances_val2017.json'
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(ValueError) as error:
        CocoPromptDataset(str(root))
    assert str(error.value).startswith(f'{path}') and message in str(error.value)


def test_broken_annotations_can_be_left_out(root, content):
    content['annotations'][0]['bbox'] = []
    (root / 'annotations' / 'instances_val2017.json').write_text(json.dumps(content))
    dataset = CocoPromptDataset(str(root), lazy_init=True)
    dataset.broken = []
    dataset.full_init()
    assert len(dataset) == 5 and len(dataset.broken) == 1
