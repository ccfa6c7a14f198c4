"""Stopping a training when a loss isn't finite."""
from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.errors import InputError
from mmrefseg.registry import HOOKS

from ..resuming.non_finite_state import how_to_go_on


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
