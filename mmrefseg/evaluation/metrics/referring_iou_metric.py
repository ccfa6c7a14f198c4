"""IoU of predictions over the expressions of a split."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from mmrefseg.registry import METRICS

from ..functional import intersection_and_union, summarise_iou


@METRICS.register_module()
class ReferringIoUMetric(BaseMetric):
    """mIoU, oIoU and Pr@X in percent; the unit is one expression.

    Keeps two whole numbers per expression, so the figures don't depend on the number of processes or the batch size.
    An empty union counts as IoU 0, and Pr@X asks for an IoU strictly greater than X.

    Args:
        thresholds: IoU levels X of Pr@X in percent. Default (50, 60, 70, 80, 90).
        collect_device: ``'gpu'`` gathers the numbers through the process group, whatever device that works on;
            ``'cpu'`` through files in a folder that all processes share. Default ``'gpu'``.
        prefix: put before the figures' names, with a slash. Default None: bare names.
    """

    # Empty rather than None: figures keep their bare names, and mmengine doesn't warn about it.
    default_prefix = ''

    def __init__(self,
                 thresholds: Sequence[int] = (50, 60, 70, 80, 90),
                 collect_device: str = 'gpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.thresholds = tuple(thresholds)

    @property
    def figures(self) -> list[str]:
        """Names of the figures, without the prefix."""
        return list(summarise_iou([0], [1], self.thresholds))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count intersection and union of each sample's ``pred_sem_seg`` and ``gt_sem_seg`` ((1, H0, W0) each)."""
        self.results += [
            intersection_and_union(sample['pred_sem_seg']['data'], sample['gt_sem_seg']['data'])
            for sample in data_samples
        ]

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Summarise (intersection, union) of all expressions; see :func:`summarise_iou`."""
        return summarise_iou([inter for inter, _ in results], [union for _, union in results], self.thresholds)
