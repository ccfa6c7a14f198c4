import pytest
from helpers.toy_runner import ToyDataset, toy_runner
from torch.utils.data import DataLoader

from mmrefseg.errors import InputError


class Few(ToyDataset):
    """The first samples."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


def run(folder, samples, by_epoch=False, sampler='DefaultSampler', **settings):
    loader = dict(dataset=Few(samples), batch_size=4, num_workers=0,
                  sampler=sampler if isinstance(sampler, dict) else dict(type=sampler)) | settings
    runner = toy_runner(folder, by_epoch=by_epoch, train_dataloader=loader,
                        custom_hooks=[dict(type='CheckSetupHook')])
    runner.train()
    return runner


@pytest.fixture
def processes(monkeypatch):
    """Let the sampler, and the hook, believe in several processes, this one the last."""

    def believe(number):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (number - 1, number))
        monkeypatch.setattr('mmrefseg.engine.setup_checks.get_world_size', lambda: number)

    return believe


@pytest.mark.parametrize('drop_last', [True, False])
@pytest.mark.parametrize(('by_epoch', 'sampler'), [
    (True, 'DefaultSampler'), (True, 'SeededSampler'), (False, 'DefaultSampler'), (False, 'InfiniteSampler'),
    (False, 'SeededInfiniteSampler')])
def test_less_than_a_batch(tmp_path, by_epoch, sampler, drop_last):
    with pytest.raises(InputError, match=r'has 3 samples, and a batch of 4: .*set train_dataloader.batch_size to 3 or'):
        run(tmp_path, 3, by_epoch, sampler, drop_last=drop_last)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('sampler', ['DefaultSampler', 'SeededInfiniteSampler'])
def test_share_of_less_than_a_batch(tmp_path, processes, sampler):
    processes(3)
    with pytest.raises(InputError, match=r'9 samples, 3 for each of 3 processes, and a batch of 4 in each: .* fewer'):
        run(tmp_path, 9, sampler=sampler)
    run(tmp_path, 10, sampler=sampler)  # the shares are rounded up


def test_last_process_has_the_smallest_share(tmp_path, processes):
    processes(3)
    sampler = dict(type='DefaultSampler', round_up=False)
    with pytest.raises(InputError, match='3 for each of 3 processes'):
        run(tmp_path, 11, sampler=sampler, by_epoch=True)
    processes(5)
    with pytest.raises(InputError, match='3 samples, 0 for each of 5 processes, .*; start fewer processes, or'):
        run(tmp_path, 3, sampler=sampler, by_epoch=True)


@pytest.mark.parametrize(('by_epoch', 'sampler'), [(True, 'SeededSampler'), (False, 'SeededInfiniteSampler')])
def test_one_batch_is_enough(tmp_path, by_epoch, sampler):
    assert run(tmp_path, 4, by_epoch, sampler, drop_last=True).iter == (2 if by_epoch else 4)


def test_other_dataloaders(tmp_path):
    def train(loader):
        hooks = [dict(type='CheckSetupHook')]
        toy_runner(tmp_path, by_epoch=True, train_dataloader=loader, custom_hooks=hooks).train()

    train(DataLoader(Few(4), batch_size=4))
    with pytest.raises(InputError, match='3 samples, and a batch of 4'):
        train(DataLoader(Few(3), batch_size=4))
