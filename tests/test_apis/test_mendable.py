import pytest
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from mmrefseg.apis.mendable import MendableErrors
from mmrefseg.registry import HOOKS
from mmrefseg.testing.toy_runner import ToyDataset, ToyMetric, toy_runner


def end(action):
    """The message with which a tool ends."""
    with pytest.raises(SystemExit) as error, MendableErrors('tool'):
        action()
    return error.value.code


def fail(error):
    raise error


@pytest.mark.parametrize('kind', [ValueError, OSError, FileNotFoundError, ImportError])
def test_errors_with_a_message_of_their_own(kind):
    assert end(lambda: fail(kind('this is\nwrong'))) == 'tool: this is\nwrong'


@pytest.mark.parametrize(('action', 'message'), [
    (lambda: HOOKS.build(dict(type='NoSuchHook')), 'tool: NoSuchHook is not in the mmrefseg::hook registry'),
    (lambda: HOOKS.build(dict(type='CheckLossesHook', colour=1)), 'tool: CheckLossesHook() takes no arguments'),
    (lambda: Config(dict(a=[1])).merge_from_dict({'a.7': 2}), 'tool: Index 7 exceeds the length of list [1]'),
])
def test_settings_that_there_are_not(action, message):
    assert end(action).startswith(message)


@pytest.mark.parametrize('kind', [KeyError, TypeError, RuntimeError, AssertionError, KeyboardInterrupt])
def test_bugs_and_interrupts_pass(kind):
    with pytest.raises(kind, match='x'), MendableErrors('tool'):
        raise kind('x')


class Fails(Hook):

    def __init__(self, place):
        setattr(self, place, lambda *args, **kwargs: fail(ValueError(place)))


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize(('place', 'ending'), [
    ('before_run', 'tool: before_run'), ('before_train', 'tool: before_train'),
    ('before_train_epoch', 'tool: before_train_epoch'), ('after_train_iter', ValueError),
    ('before_val_epoch', ValueError), ('after_train', ValueError),
])
def test_training(tmp_path, place, ending, by_epoch):
    runner = toy_runner(tmp_path, scores=[1, 2], by_epoch=by_epoch, custom_hooks=[Fails(place)])
    assert_ends(runner, runner.train, ending)


@pytest.mark.parametrize(('place', 'ending'), [
    ('before_test', 'tool: before_test'), ('after_test_iter', ValueError), ('after_test', 'tool: after_test'),
])
def test_testing(tmp_path, place, ending):
    loader = dict(dataset=ToyDataset(), batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False))
    runner = toy_runner(tmp_path, custom_hooks=[Fails(place)], test_cfg={}, test_dataloader=loader,
                        test_evaluator=Evaluator(ToyMetric([1])))
    assert_ends(runner, runner.test, ending)


def assert_ends(runner, action, ending):
    with pytest.raises(ValueError if ending is ValueError else SystemExit) as error, MendableErrors('tool') as errors:
        runner.register_hook(errors)
        action()
    if ending is not ValueError:
        assert error.value.code == ending
