"""Figures of gRefCOCO, where an expression may refer to several objects or to none."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from mmrefseg.registry import METRICS

from ..functional import intersection_and_union, summarise_gres


@METRICS.register_module()
class GRESMetric(BaseMetric):
    """gIoU, cIoU, N-acc, T-acc and Pr@X in percent (arXiv 2306.00968); see :func:`summarise_gres` for what they count.

    The unit is one expression. Keeps three whole numbers an expression, so the figures don't depend on the number of
    processes or the batch size. An expression has no target if its ground truth has no pixel.

    Args:
        min_pixels: pixels at the image's original size that a prediction needs, or it counts as "no target".
            Default 50; 1 takes every pixel seriously.
        thresholds: IoU levels X of Pr@X in percent. Default (70, 80, 90).
        collect_device: see :class:`ReferringIoUMetric`. Default ``'gpu'``.
        prefix: put before the figures' names, with a slash. Default None: bare names.
    """

    default_prefix = ''

    def __init__(self,
                 min_pixels: int = 50,
                 thresholds: Sequence[int] = (70, 80, 90),
                 collect_device: str = 'gpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.min_pixels, self.thresholds = min_pixels, tuple(thresholds)

    @property
    def figures(self) -> list[str]:
        """Names of the figures, without the prefix; those that no expression of a split bears on are left out."""
        # One expression with a target, and one without.
        return list(summarise_gres([0, 0], [0, 0], [1, 0], self.min_pixels, self.thresholds))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count intersection and sizes of each sample's ``pred_sem_seg`` and ``gt_sem_seg`` ((1, H0, W0) each)."""
        for sample in data_samples:
            truth = sample['gt_sem_seg']['data']
            intersection, union = intersection_and_union(sample['pred_sem_seg']['data'], truth)
            target = int((truth != 0).sum())
            self.results.append((intersection, intersection + union - target, target))

    def compute_metrics(self, results: list[tuple[int, int, int]]) -> dict[str, float]:
        """Summarise (intersection, predicted, target) of all expressions."""
        intersections, predicted, targets = np.array(results, np.int64).reshape(-1, 3).T
        return summarise_gres(intersections, predicted, targets, self.min_pixels, self.thresholds)
