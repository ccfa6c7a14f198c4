"""Pictures of some validation samples, epoch after epoch."""
from __future__ import annotations

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from mmrefseg.errors import InputError
from mmrefseg.registry import HOOKS
from mmrefseg.utils.type_hints import Count

from ..sample_inference import answered_samples, spread_indices


@HOOKS.register_module()
class DrawSamplesHook(Hook):
    """Draws the same validation samples after each validation: expression, truth, answer, probabilities and routing.

    The samples lie at equal distances in the data set, and are asked once more, by the first process alone. Pictures
    go to the visualizer's backends as ``val_<index>``, with the iteration as step.

    Args:
        number: samples to draw. Default 8.
        interval: validations from one drawing to the next. Default 1.

    Raises:
        InputError: before the training, if the visualizer draws no samples.
    """

    priority = 'ABOVE_NORMAL'  # ahead of EMAHook, which then takes the averaged weights out of the model

    def __init__(self, number: Count = 8, interval: Count = 1) -> None:
        self.number, self.interval = number, interval
        self._validations = 0

    def before_run(self, runner: Runner) -> None:
        """Refuse a visualizer that cannot draw samples."""
        if type(runner.visualizer).add_datasample is Visualizer.add_datasample:
            raise InputError(f'DrawSamplesHook is set, but a visualizer of type {type(runner.visualizer).__name__} '
                             "draws no samples; set visualizer=dict(type='ReferringVisualizer')")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw, if it is time."""
        self._validations += 1
        if self._validations % self.interval == 0:
            self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        loader = runner.val_dataloader
        indices = spread_indices(len(loader.dataset), self.number)
        for index, (image, sample) in zip(indices, answered_samples(runner, loader, indices), strict=True):
            runner.visualizer.add_datasample(f'val_{index}', image, sample, step=runner.iter)
