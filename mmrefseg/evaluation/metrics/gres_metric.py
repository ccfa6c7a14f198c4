"""Figures of gRefCOCO, where an expression may refer to several objects or to none."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrefseg.registry import METRICS

from ..expression_counts import ExpressionCounts, unions_of
from ..functional import Ratio, gres_ratios, iou_ratios
from ..functional.expression_groups import Grouping
from ..protocols import Protocol, ProtocolSetting
from .expression_metric import ExpressionMetric


@METRICS.register_module()
class GRESMetric(ExpressionMetric):
    """gIoU, cIoU, N-acc, T-acc and Pr@X in percent (arXiv 2306.00968); see :func:`summarise_gres` for what they count.

    The unit is one expression. Keeps three whole numbers per expression, so the figures don't depend on the number of
    processes or the batch size. An expression has no target if its ground truth has no pixel.

    Args:
        min_pixels: pixels at the image's original size that a prediction needs, or it counts as "no target".
            Default 50; 1 takes every pixel seriously.
        thresholds: IoU levels X of Pr@X in percent. Default (70, 80, 90).
        protocol: makes the masks, see :class:`ReferringIoUMetric`; its rules for an empty union and for Pr@X don't
            apply here. Default ``'cris'``.
        by: groups of expressions, see there. Default ().
        boundary: whether to give boundary IoU, see there; "no target" counts in it as in gIoU. Default False.
        collect_device: see :class:`ReferringIoUMetric`. Default ``'gpu'``.
        prefix: put before the figures' names, with a slash. Default None: bare names.
    """

    def __init__(self,
                 min_pixels: int = 50,
                 thresholds: Sequence[int] = (70, 80, 90),
                 protocol: ProtocolSetting = 'cris',
                 by: Sequence[Grouping] = (),
                 boundary: bool = False,
                 collect_device: str = 'gpu',
                 prefix: str | None = None) -> None:
        super().__init__(protocol, by, boundary, collect_device, prefix)
        self.min_pixels, self.thresholds = min_pixels, tuple(thresholds)

    def own_ratios(self, counts: np.ndarray, protocol: Protocol) -> dict[str, Ratio]:
        """gIoU, cIoU, N-acc, T-acc and Pr@X; see :func:`summarise_gres`."""
        shared, predicted, targets = counts.T
        return gres_ratios(shared, predicted, targets, self.min_pixels, self.thresholds)

    def boundary_ratio(self, counted: ExpressionCounts, protocol: Protocol) -> Ratio:
        """Mean boundary IoU, in which "no target" counts as in gIoU."""
        counts = np.array(counted.boundary_counts)
        counts[counted.counts[:, 1] < max(self.min_pixels, 1), :2] = 0
        return iou_ratios(counts[:, 0], unions_of(counts), (), 1)['mIoU']
