"""Refusing checkpoints of another architecture."""
from __future__ import annotations

from collections import OrderedDict

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.checkpoints.weights import load_weights, unwrap_model
from mmrefseg.registry import HOOKS


@HOOKS.register_module()
class CheckWeightsHook(Hook):
    """Stops where a checkpoint that is loaded or resumed doesn't fit the model.

    mmengine loads what fits and only warns about the rest, so that a test of the wrong config runs through and gives
    figures of a half random model. Leave this hook out where partial loading is what you want.
    """

    # Ahead of hooks that read the weights too, such as the EMA hook.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the checkpoint's weights against the runner's model.

        Args:
            runner: the runner.
            checkpoint: a checkpoint of mmengine, or a bare state dict.

        Raises:
            InputError: they don't fit; names keys and shapes.
        """
        state_dict = checkpoint.get('state_dict', checkpoint)
        bare = OrderedDict((name.removeprefix('module.'), value) for name, value in state_dict.items())
        # By the versions in there, modules tell whether they must convert what an older one of them saved.
        bare._metadata = getattr(state_dict, '_metadata', None)
        load_weights(unwrap_model(runner.model), bare, source='the checkpoint')
