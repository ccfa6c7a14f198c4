"""Logging what the routers decide."""
from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmrefseg.registry import HOOKS
from mmrefseg.utils.type_hints import Count


@HOOKS.register_module()
class RoutingLogHook(Hook):
    """Logs each router's mean weights and how often it chose each expert.

    Reads ``routing`` of what a training step of the segmentor returns (see :class:`~mmrefseg.models.layers.StepLog`);
    does nothing where it isn't there. Every ``interval`` iterations the averages since the last time,
    over all processes, go into the visualizer's scalars as ``routing/<router>/<expert>/weight``, ``.../chosen`` and
    ``.../first``. The last of them stand in the log at the end of the run, in a line for each router.

    Args:
        interval: iterations between two entries, counted as ``LoggerHook`` counts them. Default 50.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, interval: Count = 50) -> None:
        self.interval = interval
        self._experts: dict[str, tuple[str, ...]] = {}
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._lines: list[str] = []

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Add up this iteration's routing, on its device; write the averages when it is time."""
        routing = getattr(outputs, 'routing', None)
        if not routing:
            return
        for router, experts in routing.items():
            self._experts[router] = tuple(experts)
            self._sums[router] = self._sums.get(router, 0) + torch.stack(tuple(experts.values()), dim=1)
        self._count += 1
        if self._is_due(runner, batch_idx):
            self._write(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        """Write what is left, and the last averages into the log."""
        if self._count:
            self._write(runner, runner.iter)
        for line in self._lines:
            runner.logger.info(line)

    def _is_due(self, runner: Runner, batch_idx: int) -> bool:
        loader = runner.train_dataloader
        short_epoch = len(loader) <= self.interval
        return self.every_n_inner_iters(batch_idx, self.interval) or (
            short_epoch and self.end_of_epoch(loader, batch_idx))

    def _write(self, runner: Runner, step: int) -> None:
        means = torch.cat([total.float().flatten() for total in self._sums.values()]) / self._count
        all_reduce(means, op='mean')
        means = means.tolist()
        scalars, self._lines = {}, []
        for router, experts in self._experts.items():
            parts = []
            for i, expert in enumerate(experts):
                weight, chosen, first = means[i:3 * len(experts):len(experts)]
                prefix = f'routing/{router}/{expert}'
                scalars |= {f'{prefix}/weight': weight, f'{prefix}/chosen': chosen, f'{prefix}/first': first}
                parts.append(f'{expert} {weight:.2f} (chosen {chosen:.0%}, first {first:.0%})')
            means = means[3 * len(experts):]
            self._lines.append(f'routing {router}: {", ".join(parts)}')
        runner.visualizer.add_scalars(scalars, step=step)
        self._sums, self._count = {}, 0
