"""Refusing checkpoints of another architecture, and such as cannot be resumed."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.checkpoints.loading import check_resumable, load_checkpoint
from mmrefseg.checkpoints.weights import unwrap_model
from mmrefseg.registry import HOOKS


@HOOKS.register_module()
class CheckWeightsHook(Hook):
    """Stops where a checkpoint doesn't fit the model, or a training cannot be resumed from it.

    mmengine loads what fits and only warns about the rest, so that a test of the wrong config runs through and gives
    figures of a half random model. Leave this hook out where partial loading is what you want.
    """

    # Ahead of hooks that read the weights too, such as the EMA hook.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the checkpoint's weights against the runner's model, and its state where training is resumed.

        Args:
            runner: the runner.
            checkpoint: a checkpoint of mmengine, or a bare state dict.

        Raises:
            InputError: the weights don't fit (names keys and shapes), or there is no state of a training.
        """
        source = runner._load_from or 'the checkpoint'
        if runner._resume:
            check_resumable(checkpoint, source)
            if 'optimizer' not in checkpoint:
                runner.logger.warning(f'{source} holds no state of the optimizer, as checkpoints of the best weights do'
                                      ' not: the training goes on, but its optimizer starts anew.')
        load_checkpoint(unwrap_model(runner.model), checkpoint, source)
