from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from helpers.toy_runner import ToyModel, toy_runner
from torch import nn

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.engine import LoadCheckpointHook
from mmrefseg.errors import InputError

HOOKS = [dict(type='LoadCheckpointHook')]


@pytest.fixture
def trained(tmp_path):
    toy_runner(tmp_path / 'trained', custom_hooks=[dict(type='EMAHook')]).train()
    return tmp_path / 'trained' / 'iter_4.pth'


@pytest.mark.parametrize('resume', [False, True])
@pytest.mark.parametrize('hooks', [HOOKS, [*HOOKS, dict(type='EMAHook')], [dict(type='EMAHook'), *HOOKS]])
def test_refuses_another_architecture(tmp_path, trained, resume, hooks):
    runner = toy_runner(
        tmp_path / 'other', model=ToyModel(channels=5), custom_hooks=hooks, load_from=str(trained), resume=resume)
    with pytest.raises(ValueError, match=r'another architecture than ToyModel:\n.*linear\.weight \(1, 2\) .* \(1, 5\)'):
        runner.train()


def test_lets_fitting_weights_pass(tmp_path, trained):
    runner = toy_runner(tmp_path / 'other', custom_hooks=HOOKS, load_from=str(trained))
    runner.load_or_resume()
    assert torch.equal(runner.model.linear.weight, load_from_local(trained)['state_dict']['linear.weight'])


def test_resuming_with_averaged_weights(tmp_path):
    hooks = [*HOOKS, dict(type='EMAHook')]
    runner = toy_runner(tmp_path, custom_hooks=hooks)
    runner.train()
    resumed = toy_runner(tmp_path, custom_hooks=hooks, resume=True)
    resumed.train()
    assert torch.equal(resumed.model.linear.weight, runner.model.linear.weight)


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: {'state_dict': state, 'meta': {}},
    lambda state: {'state_dict': {f'module.{name}': value for name, value in state.items()}},
])
def test_layouts(tmp_path, wrap):
    torch.save(wrap(OrderedDict(ToyModel().state_dict())), tmp_path / 'weights.pth')
    runner = toy_runner(tmp_path / 'run', custom_hooks=HOOKS, load_from=str(tmp_path / 'weights.pth'))
    runner.load_or_resume()


def test_wrapped_model():
    runner = SimpleNamespace(model=nn.DataParallel(ToyModel()), _resume=False, _load_from='a.pth')
    checkpoint = {'state_dict': ToyModel().state_dict()}
    LoadCheckpointHook().after_load_checkpoint(runner, checkpoint)
    del checkpoint['state_dict']['linear.bias']
    with pytest.raises(ValueError, match=r'ToyModel:\n.*missing there: linear\.bias'):
        LoadCheckpointHook().after_load_checkpoint(runner, checkpoint)


class RenamedModel(ToyModel):
    """Knows how the weights of its first version were called."""

    _version = 2

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get('version') == 1:
            for name in ('weight', 'bias'):
                state_dict[f'linear.{name}'] = state_dict.pop(f'fc.{name}')
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def test_modules_may_convert_older_versions():
    saved = ToyModel().state_dict()
    old = OrderedDict((name.replace('linear', 'fc'), value) for name, value in saved.items())
    old._metadata = saved._metadata
    runner = SimpleNamespace(model=RenamedModel(), _resume=False, _load_from='a.pth')
    LoadCheckpointHook().after_load_checkpoint(runner, {'state_dict': old})
    del old._metadata
    with pytest.raises(ValueError, match='unknown to the model: fc'):
        LoadCheckpointHook().after_load_checkpoint(runner, {'state_dict': old})


@pytest.mark.parametrize('lacking', ['message_hub', 'meta', 'epoch', 'log_scalars'])
def test_published_files_are_not_resumed(tmp_path, trained, lacking):
    checkpoint = load_from_local(trained)
    for part in (checkpoint, checkpoint['meta'], checkpoint['message_hub']):
        part.pop(lacking, None)
    torch.save(checkpoint, tmp_path / 'published.pth')
    runner = toy_runner(tmp_path / 'other', custom_hooks=HOOKS, load_from=str(tmp_path / 'published.pth'), resume=True)
    with pytest.raises(InputError, match=r'published\.pth holds weights, but not the state .*load_from=FILE'):
        runner.train()
    loaded = toy_runner(tmp_path / 'loaded', custom_hooks=HOOKS, load_from=str(tmp_path / 'published.pth'))
    loaded.train()


def test_a_missing_optimizer_is_told(tmp_path, trained):
    """Beside mmengine's checkpoint hook; ours refuses to resume without it."""
    checkpoint = load_from_local(trained)
    del checkpoint['optimizer']
    torch.save(checkpoint, tmp_path / 'best.pth')
    for path, told in ((tmp_path / 'best.pth', True), (trained, False)):
        runner = toy_runner(tmp_path / 'run', custom_hooks=HOOKS, load_from=str(path), resume=True, log_level='WARNING',
                            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False)))
        messages = []
        runner.logger.warning = messages.append
        runner.train()
        assert any('best.pth holds no state of the optimizer' in message for message in messages) is told


def test_partial_loading(tmp_path):
    """Not strict, what fits is loaded, as mmengine does."""
    state = OrderedDict(ToyModel().state_dict())
    del state['linear.bias']
    torch.save(state, tmp_path / 'partial.pth')
    runner = toy_runner(tmp_path / 'run', custom_hooks=[dict(HOOKS[0], strict=False)],
                        load_from=str(tmp_path / 'partial.pth'))
    runner.load_or_resume()
    assert torch.equal(runner.model.linear.weight, state['linear.weight'])
