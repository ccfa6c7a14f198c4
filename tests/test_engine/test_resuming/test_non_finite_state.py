"""A checkpoint never holds NaN or infinity."""
import pytest
import torch
from helpers.toy_runner import ToyModel, toy_runner
from mmengine.hooks import Hook

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.errors import InputError


class Spoil(Hook):
    """Changes the runner after an iteration, ahead of the checkpoint."""

    def __init__(self, iteration, change):
        self.iteration, self.change = iteration, change

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.iteration:
            self.change(runner)


def ema(runner):
    return next(hook.ema_model for hook in runner.hooks if hasattr(hook, 'ema_model'))


def optimizer_state(runner):
    return runner.optim_wrapper.optimizer.state[runner.model.linear.weight]


CHANGES = {
    'linear.weight': lambda runner: runner.model.linear.weight.data[0, 1].fill_(float('nan')),
    'scale': lambda runner: runner.model.scale.fill_(float('inf')),
    'mask': lambda runner: runner.model.mask.fill_(float('nan')),
    'the average of linear.bias': lambda runner: ema(runner).module.linear.bias.data.fill_(-float('inf')),
    "the optimizer's state of linear.weight: exp_avg_sq":
        lambda runner: optimizer_state(runner)['exp_avg_sq'].fill_(float('inf')),
}


class MaskedModel(ToyModel):
    """Has a buffer that is infinite by design, and one that isn't."""

    def __init__(self):
        super().__init__()
        self.register_buffer('mask', torch.full((2, 2), -float('inf')).triu(1))
        self.register_buffer('scale', torch.ones(1))
        self.register_buffer('count', torch.ones(1, dtype=torch.long))


def run(folder, iteration, change, **kwargs):
    runner = toy_runner(folder, model=MaskedModel(), custom_hooks=[
        dict(type='EMAHook', update_buffers=True, momentum=0.0) if kwargs.pop('average_buffers', False) else
        dict(type='EMAHook'), Spoil(iteration, change), dict(type='CheckLossesHook')], **kwargs)
    # The loss stays finite, so that nothing else stops the training.
    runner.model.register_forward_hook(
        lambda model, inputs, outputs: {'loss': outputs['loss'].nan_to_num()} if model.training else None)
    runner.train()


@pytest.mark.parametrize('name', CHANGES)
def test_spoilt_state_is_not_saved(tmp_path, name):
    with pytest.raises(InputError) as error:
        run(tmp_path, 3, CHANGES[name])
    assert str(error.value).startswith(f'{name} holds NaN or infinity, so no checkpoint is written')
    assert f'go on from {tmp_path}/iter_2.pth, the last good one' in str(error.value)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_2.pth')


def test_gradient_under_a_finite_loss(tmp_path):
    """The step spoils the weights; the loss after it would be the first to tell."""

    def spoil(runner):
        runner.model.linear.weight.register_hook(lambda gradient: gradient * float('nan'))

    with pytest.raises(InputError, match=r'^linear\.weight holds NaN'):
        run(tmp_path, 2, spoil)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']


def test_gradient_that_waits_for_the_rest_of_its_step(tmp_path):
    accumulating = dict(optimizer=dict(type='AdamW', lr=0.1), accumulative_counts=3)

    def spoil(runner):
        runner.model.linear.bias.grad.fill_(float('nan'))

    with pytest.raises(InputError, match=r'^the gradient of linear\.bias holds NaN.* start again'):
        run(tmp_path, 1, spoil, optim_wrapper=accumulating)
    assert not list(tmp_path.glob('*.pth'))


def test_infinite_gradient_that_loss_scaling_will_skip(tmp_path):
    accumulating = dict(optimizer=dict(type='SGD', lr=0.0), accumulative_counts=3)

    def spoil(runner):
        runner.optim_wrapper.loss_scaler = object()
        runner.model.linear.bias.grad.fill_(float('inf'))
        runner.train_loop.stop_training = True

    run(tmp_path, 1, spoil, optim_wrapper=accumulating)
    assert (tmp_path / 'iter_2.pth').is_file()


def test_spoilt_best_is_not_saved(tmp_path):
    hooks = dict(checkpoint=dict(type='AtomicCheckpointHook', interval=10, by_epoch=False, save_best='mIoU',
                                 save_last=False, rule='greater'))
    with pytest.raises(InputError, match=r'^linear\.weight holds NaN'):
        run(tmp_path, 1, CHANGES['linear.weight'], scores=[50.0, 60.0], default_hooks=hooks)
    assert not list(tmp_path.glob('*.pth'))


def test_resumed_run_names_what_it_resumed(tmp_path):
    run(tmp_path, 99, None)
    with pytest.raises(InputError, match=r'go on from .*/iter_2\.pth, the last good one'):
        run(tmp_path / 'other', 2, CHANGES['linear.weight'], load_from=str(tmp_path / 'iter_2.pth'), resume=True)


def test_masks_may_be_infinite(tmp_path):
    run(tmp_path, 99, None)
    assert load_from_local(tmp_path / 'iter_4.pth')['state_dict']['mask'].isinf().any()
