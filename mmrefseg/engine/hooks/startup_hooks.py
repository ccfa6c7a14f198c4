"""What happens once, ahead of the first batch: config, data and model are checked, the parameters counted."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmrefseg.checkpoints.module_weights import unwrap_model
from mmrefseg.registry import HOOKS
from mmrefseg.utils.model_complexity import parameter_table

from ..setup_checks import check_batch_size, check_input_sizes, check_leakage
from ..training_cost import warn_of_memory


@HOOKS.register_module()
class CheckSetupHook(Hook):
    """Stops a run at its start where its config would waste it: each check names what is wrong and what to set.

    Args:
        input_size: whether a pipeline in the config's dataloaders may make no images of a size that doesn't fit the
            model. The backbone says what fits in its ``check_input_size``, such as multiples of a patch; one without
            it takes any. Default True.
        leakage: whether a training on several data sets may have no images that a benchmark of the same config holds
            out, see :func:`~mmrefseg.engine.setup_checks.check_leakage`. Default True.
        batch_size: whether training needs whole batches: a data set, and a share of it for each process, of at least
            one batch, and in each batch the samples that a part of the model asks for in its ``least_batch``. Default
            True.
        memory: whether to warn, on CPUs, of a training that takes more memory than the machine has, see
            :func:`~mmrefseg.engine.training_cost.warn_of_memory`. Default True.
    """

    def __init__(self, input_size: bool = True, leakage: bool = True, batch_size: bool = True,
                 memory: bool = True) -> None:
        self.input_size, self.leakage, self.batch_size, self.memory = input_size, leakage, batch_size, memory

    def before_run(self, runner: Runner) -> None:
        """Compare the sizes of images with the model.

        Raises:
            InputError: one doesn't fit; names the transform and the sizes that may be.
        """
        if self.input_size:
            check_input_sizes(runner.cfg, unwrap_model(runner.model))

    def before_train(self, runner: Runner) -> None:
        """Look at the data of the training.

        Raises:
            MissingInputError: files of what the config tests on are missing.
            InputError: the training data leak, or batches would be too small.
        """
        if self.leakage:
            check_leakage(runner)
        if self.batch_size:
            check_batch_size(runner.train_dataloader, unwrap_model(runner.model))
        if self.memory:
            warn_of_memory(runner)


@HOOKS.register_module()
class ParameterSummaryHook(Hook):
    """Writes into the log, before training, each part's parameters and the share of them that trains.

    It is the table that ``tools/analysis_tools/count_params.py`` prints. Pretrained parameters count apart from new
    ones, such as those of adapters and experts.
    """

    def before_train(self, runner: Runner) -> None:
        """Count the parameters and write the table into the log."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        runner.logger.info(f'Parameters:\n{parameter_table(model)}')
