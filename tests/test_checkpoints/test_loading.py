import numpy as np
import pytest
import torch
from helpers.toy_runner import ToyModel, toy_runner
from mmengine.runner import CheckpointLoader
from torch import nn

from mmrefseg.checkpoints import load_checkpoint
from mmrefseg.checkpoints.loading import find_weights
from mmrefseg.checkpoints.reading import check_readable, load_from_local
from mmrefseg.errors import InputError, MissingInputError


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: {'state_dict': state, 'meta': {}},
    lambda state: {f'module.{name}': value for name, value in state.items()},
    lambda state: {'state_dict': {f'module.{name}': value for name, value in state.items()}},
], ids=['weights', 'checkpoint', 'wrapped weights', 'wrapped'])
def test_forms_of_checkpoints(tmp_path, wrap):
    saved, model = ToyModel(), ToyModel()
    torch.save(wrap(saved.state_dict()), tmp_path / 'a.pth')
    load_checkpoint(model, tmp_path / 'a.pth')
    assert torch.equal(model.linear.weight, saved.linear.weight)


def test_a_weight_by_both_names():
    state = ToyModel().state_dict()
    with pytest.raises(InputError, match='has linear.bias twice'):
        load_checkpoint(ToyModel(), {**state, 'module.linear.bias': state['linear.bias'] + 1})


def test_versions_of_modules_are_kept():
    state = nn.BatchNorm1d(2).state_dict()
    assert find_weights({'state_dict': state})._metadata == state._metadata


def test_what_does_not_fit_is_named(tmp_path):
    torch.save(ToyModel(channels=3).state_dict(), tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r'a\.pth is of another architecture than ToyModel'):
        load_checkpoint(ToyModel(), tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r'^the checkpoint is of another'):
        load_checkpoint(ToyModel(), ToyModel(channels=3).state_dict())
    with pytest.raises(MissingInputError, match=r'no checkpoint .*b\.pth'):
        load_checkpoint(ToyModel(), tmp_path / 'b.pth')


class Masked(ToyModel):
    """Has a buffer that is infinite by design."""

    def __init__(self):
        super().__init__()
        self.register_buffer('mask', torch.full((2, ), -float('inf')))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_no_numbers(value):
    model, state = Masked(), Masked().state_dict()
    load_checkpoint(model, dict(state))
    state['linear.weight'] = state['linear.weight'].clone()
    state['linear.weight'][0, 1] = value
    before = model.linear.weight.clone()
    with pytest.raises(InputError, match='^x.pth cannot be used: its linear.weight holds NaN or infinity'):
        load_checkpoint(model, {'state_dict': {f'module.{name}': part for name, part in state.items()}}, 'x.pth')
    assert torch.equal(model.linear.weight, before)


def test_the_averaged_weights_are_loaded_as_a_test_loads_them(tmp_path):
    hooks = [dict(type='EMAHook', momentum=0.5)]
    runner = toy_runner(tmp_path, custom_hooks=hooks)
    runner.train()
    path = tmp_path / 'iter_4.pth'
    tested = toy_runner(tmp_path / 'test', custom_hooks=hooks, load_from=str(path))
    tested.call_hook('before_run')
    tested.load_or_resume()
    tested.call_hook('before_test_epoch')
    model = ToyModel()
    load_checkpoint(model, path)
    assert torch.equal(model.linear.weight, tested.model.linear.weight)
    assert not torch.equal(model.linear.weight, runner.model.linear.weight)


@pytest.mark.parametrize(('content', 'message'), [
    (3, 'holds a int; expected was a dict'),
    ({'state_dict': [1]}, r"'s state_dict holds a list; expected was a dict"),
    ({'state_dict': torch.ones(1)}, r"'s state_dict holds a Tensor"),
    ({'state_dict': {}, 'ema_state_dict': 'a'}, r"'s ema_state_dict holds a str"),
    ({'state_dict': {1: torch.ones(1)}}, r"'s state_dict holds an entry named 1; expected were strings"),
    ({None: torch.ones(1)}, 'holds an entry named None'),
])
def test_what_is_no_dict_of_weights(tmp_path, content, message):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(InputError, match=rf'a\.pth( |){message}'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))


class Palette:
    """A class that no reader knows."""


@pytest.mark.parametrize(('value', 'trouble'), [
    (Palette(), r'holds \S*Palette'), ([{'a': Palette}], r'holds \S*Palette'), (lambda: 1, "Can't pickle|Can't get"),
    ({'a': torch.zeros(2, dtype=torch.uint16)}, 'holds torch'),
    (np.array(['a']), r'holds numpy\.dtype\(U1\)'), ({2**61: 1}, 'a key of a dict'),
])
def test_what_cannot_be_read_again_is_not_saved(value, trouble):
    check_readable({'meta': {'a': 1}, 'state_dict': ToyModel().state_dict()})
    with pytest.raises(InputError, match=rf"'meta' could not be loaded again: .*({trouble}).*metainfo of a data set"):
        check_readable({'meta': {'dataset_meta': value}})


@pytest.mark.parametrize('readable', [True, False])
def test_metainfo_of_a_data_set(tmp_path, readable):
    runner = toy_runner(tmp_path)
    palette = np.arange(3, dtype=np.uint8)
    runner.train_dataloader.dataset.metainfo = dict(palette=palette if readable else Palette())
    if not readable:
        with pytest.raises(InputError, match=r"the checkpoint's 'meta' could not be loaded again: .*Palette"):
            runner.train()
        assert not list(tmp_path.glob('*.pth'))
        return
    runner.train()
    assert load_from_local(tmp_path / 'iter_4.pth')['meta']['dataset_meta']['palette'].tolist() == [0, 1, 2]
    resumed = toy_runner(tmp_path, resume=True)
    resumed.train()
    assert resumed.iter == 4
