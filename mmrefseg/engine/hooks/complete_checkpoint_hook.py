"""Loading checkpoints that hold only what was trained."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.checkpoints.trained_only import add_frozen_weights
from mmrefseg.checkpoints.weights import unwrap_model
from mmrefseg.registry import HOOKS


@HOOKS.register_module()
class CompleteCheckpointHook(Hook):
    """Lays a checkpoint that ``AtomicCheckpointHook`` saved with ``trained_only`` on the pretrained weights.

    They come from the files that the config names, and are loaded where that hasn't happened yet, as in a test. A
    full checkpoint passes unchanged, without any of these files.
    """

    # Ahead of all hooks that read the checkpoint's weights.
    priority = 'HIGHEST'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Complete the checkpoint in place.

        Args:
            runner: the runner.
            checkpoint: a checkpoint of mmengine, or a bare state dict.

        Raises:
            MissingInputError: a pretrained file isn't there.
            InputError: the checkpoint was trained upon other weights; names the parts and the hashes.
        """
        add_frozen_weights(checkpoint, unwrap_model(runner.model), source='the checkpoint')
