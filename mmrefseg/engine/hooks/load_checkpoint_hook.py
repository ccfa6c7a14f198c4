"""Loading checkpoints whole: those that hold only what was trained, and none of another architecture."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.checkpoints.loading import check_resumable, load_checkpoint
from mmrefseg.checkpoints.module_weights import unwrap_model
from mmrefseg.checkpoints.partial_loading import fit_partially, loading_table
from mmrefseg.checkpoints.trained_only import add_frozen_weights
from mmrefseg.registry import HOOKS

from ..resuming.state_checks import check_average


@HOOKS.register_module()
class LoadCheckpointHook(Hook):
    """Completes checkpoints that lack frozen weights, and stops where one doesn't fit the model or cannot be resumed.

    What ``AtomicCheckpointHook`` saved with ``trained_only`` is laid on the pretrained weights. They come from the
    files that the config names, and are loaded where that hasn't happened yet, as in a test. A full checkpoint needs
    none of these files.

    mmengine loads what fits and only warns about the rest, so that a test of the wrong config runs through and gives
    figures of a half random model.

    Args:
        strict: whether a checkpoint must have exactly the model's weights, and the state of a training where one is
            resumed. False, and whatever fits is loaded. Default True.
        may_differ: beginnings of the names of weights, such as ``'decode_head.kernel'``, that need not fit when a
            training starts from a checkpoint (``load_from``): those that are missing there, or have another shape, stay
            as they are initialised, those that the model doesn't have are left out. The log has a table of what was
            loaded. All other weights must fit. Default none.
    """

    # Ahead of all hooks that read the checkpoint's weights, such as the EMA hook.
    priority = 'HIGHEST'

    def __init__(self, strict: bool = True, may_differ: Sequence[str] = ()) -> None:
        self.strict, self.may_differ = strict, list(may_differ)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Complete the checkpoint in place, and check it against the runner's model.

        Args:
            runner: the runner.
            checkpoint: a checkpoint of mmengine, or a bare state dict.

        Raises:
            MissingInputError: a pretrained file isn't there.
            InputError: the weights don't fit (names keys and shapes), were trained upon other pretrained ones (names
                the parts and the hashes), or there is no state of a training.
        """
        model, source = unwrap_model(runner.model), runner._load_from or 'the checkpoint'
        if not self.strict:
            add_frozen_weights(checkpoint, model, source)
            return
        if runner._resume:
            check_resumable(checkpoint, source)
            if 'optimizer' not in checkpoint:
                runner.logger.warning(f'{source} holds no state of the optimizer, as checkpoints of the best weights do'
                                      ' not: a training that goes on from it starts with a new optimizer.')
        elif self.may_differ:
            parts = fit_partially(checkpoint, model, self.may_differ, source)
            runner.logger.info(f'Weights from {source}, by their number of tensors:\n{loading_table(parts)}')
        load_checkpoint(model, checkpoint, source)
        if runner._resume:
            check_average(checkpoint, runner)
