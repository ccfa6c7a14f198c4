"""How many parameters a model has and how many of them train."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmrefseg.registry import HOOKS
from mmrefseg.utils.parameters import parameter_table


@HOOKS.register_module()
class ParameterSummaryHook(Hook):
    """Writes into the log, before training, each part's parameters and the share of them that trains.

    It is the table that ``tools/analysis_tools/count_params.py`` prints. Pretrained parameters count apart from new
    ones, such as those of adapters and experts.
    """

    def before_train(self, runner: Runner) -> None:
        """Count and log."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        runner.logger.info(f'Parameters:\n{parameter_table(model)}')
