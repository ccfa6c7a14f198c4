"""Random transforms draw by seed, epoch and index, whoever makes the sample."""
import copy
import itertools
import random

import numpy as np
import pytest
import torch
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from helpers.toy_runner import ToyModel, toy_runner
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader

from mmrefseg.datasets import (
    ImageGroupsInfiniteSampler,
    ImageGroupsSampler,
    RefCOCODataset,
    SeededInfiniteSampler,
    SeededSampler,
    ShuffledExpressions,
)
from mmrefseg.datasets.seeding import SampleIndex, seeded
from mmrefseg.errors import InputError


def _draw(results: dict | None = None) -> dict:
    draws = (random.random(), np.random.rand(), np.random.randn(), torch.rand(()).item())
    return {'index': results and results['sample_idx'], 'draws': draws, 'text': results and results.get('text')}


PIPELINE = [dict(type='LoadReferringImage'), dict(type='SampleSentence'), dict(type='mmcv.RandomGrayscale'), _draw]


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    content = tiny_refcoco()
    for ref in content['refs']:
        ref['split'] = 'train'
    return RefCOCODataset(write_refcoco(tmp_path_factory.mktemp('tiny'), content), unit='ref', pipeline=PIPELINE)


def _epochs(dataset, num_workers, epochs=2, seed=3):
    sampler = SeededSampler(dataset, seed=seed)
    loader = DataLoader(dataset, batch_size=1, sampler=sampler, num_workers=num_workers, collate_fn=lambda batch: batch,
                        persistent_workers=num_workers > 0)
    samples = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        samples.append([sample for batch in loader for sample in batch])
    return samples


@pytest.mark.filterwarnings('ignore:This DataLoader will create 8 worker')
@pytest.mark.parametrize('num_workers', [2, 8])
def test_samples_are_the_same_for_any_number_of_workers(dataset, num_workers):
    assert _epochs(dataset, num_workers) == _epochs(dataset, 0)


def test_epochs_seeds_and_samples_differ(dataset):
    samples = [sample for seed in (3, 4) for epoch in _epochs(dataset, 0, seed=seed) for sample in epoch]
    assert len(samples) == 16
    assert all(len(set(draws)) == 16 for draws in zip(*(sample['draws'] for sample in samples), strict=True))


def test_main_process_goes_on_as_if_nothing_was_drawn(dataset):
    def draws(between):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        _draw()  # NumPy keeps half of what it drew for the next normal number
        between()
        return _draw()

    assert draws(lambda: dataset[SampleIndex(1, (3, 0, 1))]) == draws(lambda: None) != draws(lambda: dataset[1])


def test_generators_come_back_after_an_error():
    random.seed(0)
    expected = random.random()
    random.seed(0)
    with pytest.raises(ZeroDivisionError), seeded(SampleIndex(0, (1, ))):
        raise ZeroDivisionError
    assert random.random() == expected


def test_a_sample_that_is_drawn_anew_is_the_same_for_any_worker(dataset, monkeypatch):
    """MMEngine draws another index where a transform returned None."""
    monkeypatch.setattr(dataset.pipeline, 'transforms', [lambda results: results if np.random.rand() < 0.3 else None])
    indices = [SampleIndex(0, (3, epoch, 0)) for epoch in range(5)]
    first, second = ([dataset[index]['sample_idx'] for index in indices] for _ in range(2))
    assert first == second
    assert len(set(first)) > 1


def test_index_keeps_its_seed():
    index = SampleIndex(7, (1, 2, 7))
    for kept, value in ((copy.copy(index), 7), (index - 4, 3), (index % 4, 3)):
        assert (kept, kept.seed) == (value, (1, 2, 7))


def test_wrapped_data_sets(dataset):
    def draws(dataset, index):
        return dataset[SampleIndex(index, (3, 0, index))]['draws']

    twice, repeated = ConcatDataset([dataset, dataset]), RepeatDataset(dataset, 2)
    shuffled = ShuffledExpressions(RefCOCODataset(dataset.data_root, pipeline=[_draw]))
    for index in (1, 5):
        assert draws(twice, index) == draws(repeated, index) == draws(twice, index)
    assert draws(twice, 1) == draws(dataset, 1) != draws(twice, 5)
    assert draws(shuffled, 1) == draws(shuffled, 1) != draws(shuffled, 2)


def test_every_process_draws_its_share_of_the_same_samples(dataset, monkeypatch):
    def seeds(kind, rank, world_size):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, world_size))
        return [index.seed for index, _ in zip(kind(dataset, seed=3), range(8 // world_size), strict=False)]

    for kind in (SeededSampler, SeededInfiniteSampler):
        whole = seeds(kind, 0, 1)
        assert sorted(seeds(kind, 0, 2) + seeds(kind, 1, 2)) == sorted(whole)


def test_infinite_sampler_counts_passes(dataset):
    indices = [index for index, _ in zip(SeededInfiniteSampler(dataset, seed=3), range(12), strict=False)]
    assert [index.seed for index in indices] == [(3, position // 4, index) for position, index in enumerate(indices)]
    assert sorted(indices[4:8]) == [0, 1, 2, 3]
    assert indices[:4] != indices[4:8]


class _Grouped:
    """Nine samples: three of image 0, one of image 1, five of image 2."""

    def __len__(self):
        return 9

    def image_numbers(self):
        return np.array([0, 2, 2, 0, 1, 2, 0, 2, 2])


def _groups(passes, per_image=3, **kwargs):
    sampler = ImageGroupsInfiniteSampler(_Grouped(), per_image=per_image, seed=3, **kwargs)
    indices = list(itertools.islice(sampler, 3 * per_image * passes))
    return [indices[i:i + per_image] for i in range(0, len(indices), per_image)]


def test_groups_of_one_image():
    numbers = _Grouped().image_numbers()
    groups = _groups(passes=40)
    assert all(len({numbers[index] for index in group}) == 1 for group in groups)
    assert all(sorted(numbers[group[0]] for group in groups[i:i + 3]) == [0, 1, 2] for i in range(0, 120, 3))
    five = [group for group in groups if numbers[group[0]] == 2]
    assert all(len(set(group)) == 3 for group in five)
    assert {index for group in five for index in group} == {1, 2, 5, 7, 8}
    assert len({tuple(numbers[group[0]] for group in groups[i:i + 3]) for i in range(0, 120, 3)}) == 6
    assert groups != _groups(passes=40, per_image=3, shuffle=False) and groups == _groups(passes=40)


def test_a_sample_that_comes_again_in_its_group_draws_anew():
    group, = (group for group in _groups(passes=1) if group[0] == 4)
    assert group == [4, 4, 4] and [index.seed for index in group] == [(3, 0, 4, 0), (3, 0, 4, 1), (3, 0, 4, 2)]


def test_groups_in_the_order_of_the_data():
    assert _groups(passes=2, per_image=2, shuffle=False) == [[0, 3], [4, 4], [1, 2]] * 2


def test_images_follow_each_other_in_each_epoch():
    sampler, numbers, orders = ImageGroupsSampler(_Grouped(), seed=3), _Grouped().image_numbers(), set()
    for epoch in range(40):
        sampler.set_epoch(epoch)
        indices = list(sampler)
        assert len(sampler) == 9 and sorted(indices) == list(range(9))
        assert len(list(itertools.groupby(numbers[indices]))) == 3
        assert {index.seed for index in indices} == {(3, epoch, index) for index in range(9)}
        orders.add(tuple(indices))
    assert len(orders) > 30
    assert list(ImageGroupsSampler(_Grouped(), shuffle=False)) == [0, 3, 6, 4, 1, 2, 5, 7, 8]


def test_images_stay_together_in_several_processes(monkeypatch):
    whole, shares = list(ImageGroupsSampler(_Grouped(), seed=3)), []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        shares.append(list(ImageGroupsSampler(_Grouped(), seed=3)))
    assert [len(share) for share in shares] == [5, 5] and [*shares[0], *shares[1]] == whole + whole[:1]


def test_data_that_name_no_images_have_no_groups():
    with pytest.raises(InputError, match='ImageGroupsSampler needs .* take SeededSampler'):
        ImageGroupsSampler([0, 1])
    with pytest.raises(InputError, match='list says not which samples share an image'):
        ImageGroupsInfiniteSampler([0, 1], per_image=2)


def test_groups_stay_whole_in_several_processes(monkeypatch):
    whole, shares = _groups(passes=4), []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        shares.append(_groups(passes=2))
    assert [group for pair in zip(*shares, strict=True) for group in pair] == whole


class _Numbers(RefCOCODataset):
    """What the toy model learns: the sample's own draws."""

    def __getitem__(self, idx):
        return {'x': torch.tensor(super().__getitem__(idx)['draws'][:2])}


@pytest.mark.parametrize('by_epoch', [True, False])
def test_resumed_training_goes_on_with_the_right_draws(dataset, tmp_path, by_epoch):
    sampler = 'SeededSampler' if by_epoch else 'SeededInfiniteSampler'
    assert DATA_SAMPLERS.get(f'mmrefseg.{sampler}') is not None

    def train(seen, num_workers=0, **kwargs):
        data = _Numbers(dataset.data_root, unit='ref', pipeline=PIPELINE)
        model = ToyModel()
        model.register_forward_pre_hook(lambda _, inputs, named: seen.append(torch.stack(named['x'])), with_kwargs=True)
        loader = dict(dataset=data, batch_size=2, num_workers=num_workers, sampler=dict(type=sampler, shuffle=True))
        toy_runner(tmp_path, by_epoch=by_epoch, model=model, train_dataloader=loader, **kwargs).train()

    whole, resumed = [], []
    train(whole)
    checkpoint = tmp_path / ('epoch_1.pth' if by_epoch else 'iter_2.pth')
    train(resumed, num_workers=2, load_from=str(checkpoint), resume=True)
    assert len(whole) == 2 * len(resumed) == 4
    torch.testing.assert_close(torch.stack(whole[2:]), torch.stack(resumed), rtol=0, atol=0)
    assert not torch.equal(whole[0].sort(0).values, whole[2].sort(0).values)
