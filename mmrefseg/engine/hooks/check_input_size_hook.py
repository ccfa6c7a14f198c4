"""Refusing images and batches that the model cannot take, ahead of the first of them."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.apis.input_size import check_batches, check_input_sizes
from mmrefseg.checkpoints.weights import unwrap_model
from mmrefseg.registry import HOOKS


@HOOKS.register_module()
class CheckInputSizeHook(Hook):
    """Stops a run if a pipeline in the config's dataloaders makes images of a size that doesn't fit the model.

    The backbone says what fits in its ``check_input_size``, such as multiples of a patch; one without it takes any.
    Training is also stopped if a batch would hold fewer samples than a part of the model says in its ``least_batch``.
    """

    def before_run(self, runner: Runner) -> None:
        """Compare the sizes.

        Raises:
            InputError: one doesn't fit; names the transform and the sizes that may be.
        """
        check_input_sizes(runner.cfg, unwrap_model(runner.model))

    def before_train(self, runner: Runner) -> None:
        """Look for batches that are too small.

        Raises:
            InputError: there would be one.
        """
        check_batches(runner.train_dataloader, unwrap_model(runner.model))
