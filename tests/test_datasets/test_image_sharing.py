"""Batches read an image once, and samplers keep its samples together."""
import numpy as np
import pytest
import torch
from helpers.distributed import run_distributed
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmrefseg.datasets import RefCOCODataset, SameImageSampler, ShuffledExpressions
from mmrefseg.datasets.transforms import loading

PIPELINE = [dict(type='LoadReferringImage'), dict(type='Letterbox', size=32), dict(type='LoadReferringMask'),
            dict(type='PackRefSegInputs')]


class Numbered:
    """Ten samples of four images."""

    def __len__(self):
        return 10

    def image_numbers(self):
        return np.array([0, 1, 0, 2, 1, 3, 0, 2, 2, 1])


@pytest.fixture
def dataset(root):
    return RefCOCODataset(root, split='train', pipeline=PIPELINE)


@pytest.fixture
def reads(monkeypatch):
    paths = []
    read = loading.read_image
    monkeypatch.setattr(loading, 'read_image', lambda path, *rest: paths.append(path) or read(path, *rest))
    return paths


def test_an_image_is_read_once_per_batch(dataset, reads):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    images = {info['img_path'] for info in infos}
    assert len(infos) > len(images)
    items = dataset.__getitems__(range(len(dataset)))
    assert sorted(reads) == sorted(images)
    for i, item in enumerate(items):
        alone = dataset[i]
        assert torch.equal(item['inputs'], alone['inputs'])
        assert item['data_samples'].text == infos[i]['text'] and item['data_samples'].shared_image[0] == (
            infos[i]['img_path'])
        assert torch.equal(item['data_samples'].gt_sem_seg.data, alone['data_samples'].gt_sem_seg.data)
        assert 'shared_image' not in alone['data_samples']
    assert len({id(item['inputs']) for item in items}) == len(images)


def test_workers_pass_one_tensor_on(dataset):
    loader = DataLoader(dataset, 8, sampler=SameImageSampler(dataset), num_workers=1, collate_fn=pseudo_collate)
    batch = next(iter(loader))
    names = {sample.shared_image for sample in batch['data_samples']}
    assert len({image.data_ptr() for image in batch['inputs']}) == len(names)


@pytest.mark.parametrize('change', [dict(type='FlipReferring'), lambda results: results])
def test_pipelines_with_chance_share_nothing(root, change, reads):
    dataset = RefCOCODataset(root, split='train', pipeline=[PIPELINE[0], PIPELINE[2], change, PIPELINE[1], PIPELINE[3]])
    items = dataset.__getitems__([0, 0])
    assert len(reads) == 2 and not any('shared_image' in item['data_samples'] for item in items)


def test_order_by_hand():
    assert list(SameImageSampler(Numbered())) == [0, 2, 6, 1, 4, 9, 3, 7, 8, 5]
    assert list(SameImageSampler(range(3))) == [0, 1, 2]


def test_images_of_a_data_set(dataset):
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    numbers = dataset.image_numbers()
    assert numbers[0] == 0 and len(numbers) == len(paths)
    for i, path in enumerate(paths):
        assert [number == numbers[i] for number in numbers] == [other == path for other in paths]


@pytest.mark.parametrize('indices', [3, [0, 2, 3]])
def test_images_of_a_part_of_a_data_set(root, indices):
    part = RefCOCODataset(root, split='train', pipeline=PIPELINE, indices=indices)
    paths = [part.get_data_info(i)['img_path'] for i in range(len(part))]
    assert len(paths) == 3
    assert part.image_numbers().tolist() == [list(dict.fromkeys(paths)).index(path) for path in paths]


def test_wrapped_data_sets_keep_their_order(dataset):
    assert list(SameImageSampler(ShuffledExpressions(dataset))) == list(range(len(dataset)))


def share_out(folder):
    sampler = SameImageSampler(Numbered())
    parts = [None, None]
    torch.distributed.all_gather_object(parts, list(sampler))
    assert parts == [[0, 2, 6, 1, 4], [9, 3, 7, 8, 5]] and len(sampler) == 5


def test_each_sample_once_over_processes(tmp_path):
    run_distributed(share_out, tmp_path, str(tmp_path))
