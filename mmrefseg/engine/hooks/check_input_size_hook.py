"""Refusing images that the backbone cannot take, ahead of the first of them."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.apis.input_size import check_input_sizes
from mmrefseg.checkpoints.weights import unwrap_model
from mmrefseg.registry import HOOKS


@HOOKS.register_module()
class CheckInputSizeHook(Hook):
    """Stops a run if a pipeline in the config's dataloaders makes images of a size that doesn't fit the model.

    The backbone says what fits in its ``check_input_size``, such as multiples of a patch; one without
    it takes any size.
    """

    def before_run(self, runner: Runner) -> None:
        """Compare the sizes.

        Raises:
            InputError: one doesn't fit; names the transform and the sizes that may be.
        """
        check_input_sizes(runner.cfg, unwrap_model(runner.model))
