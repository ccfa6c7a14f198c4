"""Stopping a training whose losses or state aren't finite, before a checkpoint holds them."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmrefseg.checkpoints.latest_checkpoint import noted_checkpoint
from mmrefseg.checkpoints.weights import tensors_in, unwrap_model
from mmrefseg.errors import InputError
from mmrefseg.registry import HOOKS

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


@HOOKS.register_module()
class CheckLossesHook(Hook):
    """Stops when a loss isn't a finite number, and names it and the samples of the batch.

    Costs nothing: mmengine has copied the losses from the GPU for its log by then. Gradients are left alone; with
    ``AmpOptimWrapper`` they may be infinite now and then. Checkpoints are written by later hooks, so none gets the
    spoiled weights; ``AtomicCheckpointHook`` refuses those that a gradient spoiled while the loss was finite.
    """

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Mapping | None = None,
                         outputs: Mapping | None = None) -> None:
        """Check the losses of an iteration.

        Args:
            runner: the runner.
            batch_idx: number of the batch; not used.
            data_batch: the batch; the metainfo of its ``data_samples`` is named. Default None.
            outputs: what the training step returned; values whose names hold ``loss`` are checked. Default None.

        Raises:
            InputError: a loss is NaN or infinite.
        """
        losses = {name: runner.message_hub.get_scalar(f'train/{name}').current()
                  for name in outputs or {} if 'loss' in name}
        wrong = ', '.join(f'{name} = {value}' for name, value in losses.items() if not isfinite(value))
        if wrong:
            samples = '\n'.join(f'  {sample.get("img_path")}: {sample.get("text")!r}'
                                for sample in (data_batch or {}).get('data_samples', ()))
            raise InputError(f'iteration {runner.iter + 1}: {wrong}; a loss must be finite. If nothing is wrong with '
                             f'the samples of the batch, {how_to_go_on(runner)}:\n{samples}')
