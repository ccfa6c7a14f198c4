"""Ending a training whose state isn't finite, before a checkpoint holds it; and from which checkpoint to go on."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmrefseg.checkpoints.latest_checkpoint import noted_checkpoint
from mmrefseg.checkpoints.module_weights import tensors_in, unwrap_model
from mmrefseg.errors import InputError

from .exact_resume import within_step


def infinite_buffers(model: nn.Module) -> set[str]:
    """Names of buffers that hold infinity, as masks for attention do, but no NaN.

    Args:
        model: the model, not wrapped.
    """
    floating = ((name, value) for name, value in model.named_buffers() if value.is_floating_point())
    return {name for name, value in floating if value.isinf().any() and not value.isnan().any()}


def last_good_checkpoint(runner: Runner) -> str | Path | None:
    """The checkpoint to go on from when a training went wrong; None before the first.

    Those that ``AtomicCheckpointHook`` wrote are good, for it writes no others.

    Args:
        runner: the runner.
    """
    saved = [hook.last_ckpt for hook in runner.hooks if isinstance(hook, CheckpointHook) and hook.last_ckpt]
    if saved or not runner._resume:
        return saved[-1] if saved else None
    return runner._load_from or noted_checkpoint(runner.work_dir)


def how_to_go_on(runner: Runner) -> str:
    """What to do when a training went wrong: half a sentence that names the last good checkpoint.

    Args:
        runner: the runner.
    """
    last = last_good_checkpoint(runner)
    start = 'start again (no checkpoint was written yet)' if last is None else f'go on from {last}, the last good one,'
    return f'{start} with a lower learning rate, with clip_grad in optim_wrapper, or without AMP'


def refuse_non_finite(runner: Runner, infinite: set[str]) -> None:
    """End a training whose state isn't finite; to be called in all processes, ahead of saving.

    Args:
        runner: the runner.
        infinite: names of buffers that may be infinite.

    Raises:
        InputError: in every process, if in any a parameter, buffer, average, state of the optimizer, or gradient to be
            accumulated is NaN or infinite; names it and the last good checkpoint.
    """
    spoilt = next(filter(None, all_gather_object(_first_non_finite(runner, infinite))), None)
    if spoilt:
        raise InputError(f'{spoilt} holds NaN or infinity, so no checkpoint is written and training ends; '
                         f'{how_to_go_on(runner)}')


def _first_non_finite(runner: Runner, infinite: set[str]) -> str | None:
    names, verdicts = [], []
    for name, value in _state(runner, infinite):
        if value.is_floating_point() or value.is_complex():
            names.append(name)
            # One copy from the GPU for all of them, not one for each.
            verdicts.append(value.isfinite().all())
    by_device = {device: [i for i, verdict in enumerate(verdicts) if verdict.device == device]
                 for device in {verdict.device for verdict in verdicts}}
    wrong = [i for members in by_device.values()
             for i, is_finite in zip(members, torch.stack([verdicts[i] for i in members]).tolist(), strict=True)
             if not is_finite]
    return names[min(wrong)] if wrong else None


def _state(runner: Runner, infinite: set[str]) -> Iterator[tuple[str, Tensor]]:
    """Everything that a checkpoint holds, with a name for people."""
    model = unwrap_model(runner.model)
    averages = [hook.ema_model.module for hook in runner.hooks if hasattr(hook, 'ema_model')]
    for module, title in [(model, ''), *((average, 'the average of ') for average in averages)]:
        for name, value in module.state_dict().items():
            # Clamping leaves of what isn't finite only NaN.
            yield f'{title}{name}', value.clamp(-1, 1) if name in infinite else value
    names = {parameter: name for name, parameter in model.named_parameters()}
    wrapper = runner.optim_wrapper
    wrappers = wrapper.optim_wrappers.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    for wrapper in wrappers:
        for parameter, state in wrapper.optimizer.state.items():
            yield from tensors_in(state, f"the optimizer's state of {names.get(parameter, 'a parameter')}: ")
    # A step whose scaled gradients are too large is left out when it is complete.
    if within_step(runner) and not any(hasattr(wrapper, 'loss_scaler') for wrapper in wrappers):
        yield from ((f'the gradient of {name}', value.grad) for value, name in names.items() if value.grad is not None)
