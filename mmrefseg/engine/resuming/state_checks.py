"""Whether the state of optimizers and schedulers in a checkpoint is one of this training.

PyTorch and mmengine take such a state as it comes: what doesn't fit ends in the middle of a step, or never shows.
"""
from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from mmrefseg.checkpoints.module_weights import is_finite
from mmrefseg.errors import InputError

_LARGEST = 1 << 53
_MOST_AT_ONCE = 100  # times that one step of a schedule is taken
_NUMBERS = (int, float)
# How often something was done, and for how many steps a schedule waits.
_COUNTS = {'step', 'last_step', '_global_step', '_growth_tracker'}


class _UnlikeError(Exception):
    """A part of a state isn't as that of this run; the message says what it is."""


def check_training_state(checkpoint: Mapping[str, Any], runner: Runner) -> None:
    """Compare a checkpoint's state of optimizers and schedulers with the runner's, which are those of the config.

    Numbers may be others, but finite and in their range; types, names, shapes, and which parameters are trained may
    not. A parameter that had no gradient yet has no state.

    Args:
        checkpoint: what is in the file.
        runner: the runner that is to resume; nothing of it is changed.

    Raises:
        InputError: a part isn't such a state; names the part.
    """
    try:
        if 'optimizer' in checkpoint and not isinstance(runner.optim_wrapper, Mapping | None):
            for wrapper, state, where in _wrappers(runner.optim_wrapper, checkpoint['optimizer']):
                _check_optimizer(wrapper, state, where)
        if 'param_schedulers' in checkpoint and _are_built(runner.param_schedulers):
            own, found = _states(runner.param_schedulers), checkpoint['param_schedulers']
            _check_like(found, own, 'param_schedulers')
    except _UnlikeError as error:
        raise InputError(
            f"{runner._load_from} cannot be resumed: {error}. It is damaged, or of a training with another optimizer, "
            'schedule or model. Resume with the config that it was trained with, resume another checkpoint, or start a '
            f'new training from these weights: --cfg-options load_from={runner._load_from}, without --resume.'
        ) from None


def check_average(checkpoint: Mapping[str, Any], runner: Runner) -> None:
    """Make sure that the averaged weights (``EMAHook``) in a checkpoint fit the runner's.

    Args:
        checkpoint: what is in the file, complete.
        runner: the runner that is to resume.

    Raises:
        InputError: names or shapes are others, or numbers aren't finite where the runner's are.
    """
    found = checkpoint.get('ema_state_dict')
    for hook in runner.hooks:
        if found is None or not hasattr(hook, 'ema_model'):
            continue
        own = hook.ema_model.state_dict()
        if found.keys() != own.keys() or not all(isinstance(found[name], Tensor) and found[name].shape == value.shape
                                                 and (found[name].to(value.dtype).isfinite() | ~value.isfinite()).all()
                                                 for name, value in own.items()):
            raise InputError(f'{runner._load_from} cannot be resumed: its ema_state_dict does not fit the model that '
                             'EMAHook averages, or is not finite. Resume with the config that it was trained with, or '
                             'another file.')


def _expect(holds: bool, where: str, expected: str) -> None:
    if not holds:
        raise _UnlikeError(f'its {where} is not {expected}')


def _are_built(schedulers: Mapping | Sequence | None) -> bool:
    """Whether they are more than configs, as they are where a runner is told to resume before it trains."""
    if isinstance(schedulers, Mapping):
        return 'type' not in schedulers and all(map(_are_built, schedulers.values()))
    return schedulers is not None and not any(isinstance(scheduler, Mapping) for scheduler in schedulers)


def _states(schedulers: Mapping | Sequence) -> dict | list:
    if isinstance(schedulers, Mapping):
        return {name: _states(several) for name, several in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers]


def _wrappers(wrapper: OptimWrapper | OptimWrapperDict, state: Any) -> Iterator[tuple[OptimWrapper, Any, str]]:
    if not isinstance(wrapper, OptimWrapperDict):
        yield wrapper, state, 'optimizer'
        return
    names = sorted(wrapper.optim_wrappers)
    _expect(isinstance(state, dict) and sorted(map(str, state)) == names, 'optimizer', f'a dict of {", ".join(names)}')
    for name, one in wrapper.items():
        yield one, state[name], f'optimizer[{name!r}]'


def _check_optimizer(wrapper: OptimWrapper, found: Any, where: str) -> None:
    own = wrapper.state_dict()
    _expect(isinstance(found, dict), where, 'a dict')
    groups, number = found.get('param_groups'), len(own['param_groups'])
    _expect(type(groups) is list and len(groups) == number, f'{where}.param_groups', f'a list of {number}')
    for index, (group, own_group) in enumerate(zip(groups, own['param_groups'], strict=True)):
        _check_group(wrapper.optimizer, group, own_group, f'{where}.param_groups[{index}]')
    if 'base_param_settings' in found:
        _check_group(wrapper.optimizer, found['base_param_settings'], own.get('base_param_settings'),
                     f'{where}.base_param_settings')
    # That of a run on the CPU is empty, and isn't looked at by one.
    if own.get('loss_scaler') and 'loss_scaler' in found:
        _check_like(found['loss_scaler'], own['loss_scaler'], f'{where}.loss_scaler')
    _check_parameters(wrapper.optimizer, own['param_groups'], found.get('state'), f'{where}.state')


def _check_group(optimizer: Optimizer, group: Any, own: Any, where: str) -> None:
    _expect(isinstance(group, dict) and isinstance(own, dict), where, 'a group of parameters as in this run')
    for key, value in own.items():
        if key == 'params' and not isinstance(value, Tensor):
            _expect(group.get(key) == value and all(type(index) is int for index in group[key]), f'{where}.params',
                    f'that of the {len(value)} parameters of this run')
        elif key in group:
            _check_like(group[key], value, f'{where}.{key}')
        else:
            # Versions of PyTorch differ in their switches.
            _expect(value is None or type(value) is bool, where, f'complete: {key} is missing')
    if _is_pytorchs(optimizer):
        _check_ranges(optimizer, group, where)


def _is_pytorchs(optimizer: Optimizer) -> bool:
    return type(optimizer).__module__.startswith('torch.optim.')


def _check_ranges(optimizer: Optimizer, group: Mapping, where: str) -> None:
    """Let the optimizer's own constructor judge the settings."""
    names = inspect.signature(type(optimizer)).parameters.keys() & optimizer.defaults.keys() & group.keys()
    try:
        type(optimizer)([nn.Parameter(torch.zeros(1))], **{name: group[name] for name in names})
    except (ValueError, TypeError, RuntimeError) as error:
        raise _UnlikeError(f'its {where} has settings that {type(optimizer).__name__} refuses ({error})') from None


def _check_parameters(optimizer: Optimizer, groups: Sequence[dict], found: Any, where: str) -> None:
    own = {index: (parameter, group) for group, described in zip(optimizer.param_groups, groups, strict=True)
           for index, parameter in zip(described['params'], group['params'], strict=True)}
    _expect(isinstance(found, dict) and all(type(index) is int and index in own for index in found), where,
            'a dict by the numbers of the parameters')
    for index, state in found.items():
        name = f'{where}[{index}]'
        if _is_pytorchs(optimizer):
            _check_like(state, _state_after_a_step(optimizer, *own[index]), name)
        else:
            _expect(isinstance(state, dict), name, 'a dict')
            _check_finite(state, name)


def _state_after_a_step(optimizer: Optimizer, parameter: nn.Parameter, group: Mapping) -> dict[str, Any]:
    """What an optimizer keeps of a parameter: of a stand-in, which is stepped once."""
    stand_in = nn.Parameter(torch.zeros_like(parameter))
    stand_in.grad = torch.zeros_like(parameter)
    twin = object.__new__(type(optimizer))
    twin.__dict__.update(optimizer.__dict__, param_groups=[{**group, 'params': [stand_in]}], state=defaultdict(dict))
    # What the instance has in its place counts the steps.
    type(optimizer).step(twin)
    return twin.state[stand_in]


def _check_like(found: Any, own: Any, where: str) -> None:
    """Refuse what has other types, names or shapes than the run's own, or numbers that aren't finite."""
    if isinstance(own, Tensor):
        _expect(isinstance(found, Tensor) and found.shape == own.shape
                and (found.is_floating_point(), found.is_complex()) == (own.is_floating_point(), own.is_complex()),
                where, f'a tensor of shape {tuple(own.shape)} as in this run')
        _check_finite(found, where)
    elif isinstance(own, Counter):
        _expect(isinstance(found, Counter) and all(type(key) is int and 0 < value <= _MOST_AT_ONCE
                                                   for key, value in found.items()), where, 'a count of steps')
    elif isinstance(own, dict):
        _expect(isinstance(found, dict) and found.keys() == own.keys(), where,
                f'a dict of {", ".join(map(str, own))} as in this run')
        for key, value in own.items():
            _check_like(found[key], value, f'{where}.{key}')
    elif isinstance(own, list | tuple):
        _expect(type(found) is type(own) and len(found) == len(own), where,
                f'a {type(own).__name__} of {len(own)} as in this run')
        for index, (part, own_part) in enumerate(zip(found, own, strict=True)):
            _check_like(part, own_part, f'{where}[{index}]')
    elif type(own) is int or (type(own) is float and isfinite(own)):
        _expect(type(found) in _NUMBERS, where, 'a number')
        _check_finite(found, where)
    elif callable(own):
        _expect(callable(found), where, 'a function')
    elif own is None and where.endswith('.best'):
        _expect(found is None or type(found) in _NUMBERS, where, 'a score')
    else:
        # Another switch or name than this run's would be taken over without a word.
        _expect(type(found) is type(own) and found == own, where, f'{own!r} as in this run')
    if where.rpartition('.')[2] in _COUNTS:
        is_tensor = isinstance(found, Tensor)
        # Schedules that begin later stand at -1 until then.
        _expect(found.min() >= 0 if is_tensor else type(found) is int and found >= -1, where, 'a count')


def _check_finite(value: Any, where: str) -> None:
    if isinstance(value, Tensor):
        _expect(is_finite(value), where, 'finite')
    elif isinstance(value, dict):
        for key, part in value.items():
            _check_finite(part, f'{where}.{key}')
    elif type(value) in _NUMBERS:
        _expect(isfinite(value) if isinstance(value, float) else abs(value) <= _LARGEST, where, 'a finite number')
