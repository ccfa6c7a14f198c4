"""Checkpoints whose state of the training is malformed: resumed, or refused by a message."""
from contextlib import suppress

import pytest
import torch
from helpers.fuzzed_surfaces.checkpoints import resume, train
from helpers.value_mutation import change_values

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.errors import InputError, UserError


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('saved')
    train(folder, 2)
    return load_from_local(folder / 'iter_2.pth')


def test_the_state_as_it_was_saved(tmp_path, saved):
    assert resume(tmp_path, saved).iter == 4


def group(**kwargs):
    return lambda checkpoint: checkpoint['optimizer']['param_groups'][0].update(kwargs)


def moments(**kwargs):
    return lambda checkpoint: checkpoint['optimizer']['state'][0].update(kwargs)


def schedule(**kwargs):
    return lambda checkpoint: checkpoint['param_schedulers'][1].update(kwargs)


CASES = {
    'a string for the rate': (group(lr='0.1'), r'optimizer\.param_groups\[0\]\.lr is not a number'),
    'no rate': (lambda found: found['optimizer']['param_groups'][0].pop('lr'), 'complete: lr is missing'),
    'NaN': (group(lr=float('nan')), r'\.lr is not a finite number'),
    'out of range': (group(betas=(1.0, 0.9)), 'settings that AdamW refuses'),
    'other parameters': (group(params=[0]), r'params is not that of the 2 parameters'),
    'more groups': (lambda found: found['optimizer']['param_groups'].append({}), 'param_groups is not a list of 1'),
    'another shape': (moments(exp_avg=torch.zeros(2, 1)), r'state\[0\]\.exp_avg is not a tensor of shape \(1, 2\)'),
    'no moment': (lambda found: found['optimizer']['state'][0].pop('exp_avg_sq'), r'state\[0\] is not a dict of step'),
    'infinite moment': (moments(exp_avg=torch.full((1, 2), torch.inf)), r'exp_avg is not finite'),
    'before the first step': (moments(step=torch.tensor(-1.0)), r'step is not a count'),
    'another parameter': (lambda found: found['optimizer']['state'].update({7: {}}), 'by the numbers of the'),
    'no schedule': (lambda found: found['param_schedulers'].pop(), 'param_schedulers is not a list of 3'),
    'a method replaced': (schedule(step='x'), r'param_schedulers\[1\] is not a dict of'),
    'a step that is none': (schedule(last_step=1.5), 'last_step is not a count'),
    'milestones': (schedule(milestones=[3]), 'milestones is not a count of steps'),
    'averages that are no numbers': (lambda found: found['ema_state_dict']['module.linear.bias'].fill_(float('nan')),
                                     'or is not finite'),
    'weights that are no numbers': (lambda found: found['state_dict']['linear.bias'].fill_(float('inf')),
                                    'linear.bias holds NaN or infinity'),
    'averages': (lambda found: found['ema_state_dict'].pop('module.linear.bias'), 'its ema_state_dict does not fit'),
    'a seed that is too large': (lambda found: found['exact_resume'].update(sampler_seed=1 << 66), 'resume is damaged'),
    'no seed of the sampler': (lambda found: found['exact_resume'].pop('sampler_seed'), 'exact_resume is damaged'),
}


@pytest.mark.parametrize('name', CASES)
def test_a_malformed_state_is_refused(tmp_path, saved, name):
    change, message = CASES[name]
    checkpoint = change_values(saved, 0, changes=0)
    change(checkpoint)
    with pytest.raises(InputError, match=message):
        resume(tmp_path, checkpoint)


def test_classes_that_are_no_list(tmp_path, saved):
    checkpoint = change_values(saved, 0, changes=0)
    checkpoint['meta']['dataset_meta'] = {'classes': {'a': 1}, 'palette': 5}
    assert resume(tmp_path, checkpoint).iter == 4


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('seed', range(25))
def test_changed_at_random(tmp_path, saved, seed):
    checkpoint = change_values(saved, seed)
    with suppress(UserError):
        assert resume(tmp_path, checkpoint).iter == 4
