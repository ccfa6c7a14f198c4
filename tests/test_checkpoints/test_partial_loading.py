"""Checkpoints that differ from the model where they may."""
import pytest
import torch
from helpers.toy_runner import ToyModel, toy_runner
from torch import nn

from mmrefseg.checkpoints.partial_loading import PartLoaded, fit_partially, loading_table
from mmrefseg.checkpoints.weight_interpolation import interpolate
from mmrefseg.errors import InputError


class Model(nn.Module):
    def __init__(self, width: int, name: str = 'kernel') -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        self.head = nn.ModuleDict({'norm': nn.LayerNorm(2), name: nn.Linear(2, width)})


def test_what_may_differ_stays_as_it_is_and_the_rest_is_loaded():
    model, other = Model(3), Model(5)
    checkpoint = {'state_dict': other.state_dict()}
    parts = fit_partially(checkpoint, model, ['head.kernel'], 'a.pth')
    assert parts == [PartLoaded('backbone', 2, [], []),
                     PartLoaded('head', 2, ['head.kernel.weight', 'head.kernel.bias'], [])]
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(checkpoint['state_dict'])
    assert torch.equal(model.head.kernel.weight, own['head.kernel.weight'])
    assert torch.equal(model.backbone.weight, other.backbone.weight)
    assert 'left as made: head.kernel.weight, head.kernel.bias' in loading_table(parts)


def test_missing_and_unknown_names_of_a_bare_state_dict():
    checkpoint = dict(Model(3, 'classes').state_dict())
    backbone, head = fit_partially(checkpoint, Model(3), ['head'], 'a.pth')
    assert (backbone.loaded, head.loaded, head.unused) == (2, 2, ['head.classes.weight', 'head.classes.bias'])
    assert checkpoint['state_dict'].keys() == Model(3).state_dict().keys()


def test_a_beginning_is_whole_words_and_must_be_there():
    checkpoint = {'state_dict': Model(5).state_dict()}
    with pytest.raises(InputError, match="'head.ker', with which no weight of the model begins; .*backbone, head"):
        fit_partially(checkpoint, Model(3), ['head.ker'], 'a.pth')


def test_the_hook_loads_partly_and_refuses_what_else_differs(tmp_path):
    torch.save(ToyModel(channels=5).state_dict(), tmp_path / 'a.pth')
    hook = dict(type='LoadCheckpointHook', may_differ=['linear.weight'])
    runner = toy_runner(tmp_path / 'run', custom_hooks=[hook], load_from=str(tmp_path / 'a.pth'))
    weight, told = runner.model.linear.weight.clone(), []
    runner.logger.info = told.append
    runner.load_or_resume()
    assert torch.equal(runner.model.linear.weight, weight)
    assert torch.equal(runner.model.linear.bias, torch.load(tmp_path / 'a.pth')['linear.bias'])
    assert any('left as made: linear.weight' in message for message in told)
    refused = toy_runner(tmp_path / 'other', custom_hooks=[dict(hook, may_differ=['linear.bias'])],
                         load_from=str(tmp_path / 'a.pth'))
    with pytest.raises(InputError, match=r'linear\.weight \(1, 5\)'):
        refused.load_or_resume()


def test_interpolation():
    first = {'a': torch.tensor([0.0, 2.0]), 'n': torch.tensor(1)}
    second = {'a': torch.tensor([4.0, 4.0]), 'n': torch.tensor(9)}
    between = interpolate(first, second, 0.25)
    assert between['a'].tolist() == [1, 2.5] and between['n'] == 9
    with pytest.raises(InputError, match='between 0 and 1, got 1.5'):
        interpolate(first, second, 1.5)
    with pytest.raises(InputError, match='1 differ in name or shape, such as b'):
        interpolate(first, {**second, 'b': torch.zeros(1)}, 0.5)
