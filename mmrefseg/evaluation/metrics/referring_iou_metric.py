"""IoU of predictions over the expressions of a split."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrefseg.registry import METRICS

from ..expression_counts import unions_of
from ..functional import Ratio, iou_ratios
from ..functional.expression_groups import Grouping
from ..protocols import Protocol, ProtocolSetting
from .expression_metric import ExpressionMetric


@METRICS.register_module()
class ReferringIoUMetric(ExpressionMetric):
    """mIoU, oIoU and Pr@X in percent; the unit is one expression. Under one or several protocols in one pass.

    Keeps whole numbers per expression, so the figures don't depend on the number of processes or the batch size.

    Args:
        thresholds: IoU levels X of Pr@X in percent. Default (50, 60, 70, 80, 90).
        protocol: ``'cris'``, ``'lavt'``, ``'lisa'``, or a dict of ``base``, one of these, and the rules of
            :class:`~mmrefseg.evaluation.Protocol` that differ; or several of them. Figures of the first keep their bare
            names, those of the others begin with the protocol's, as in ``lavt/mIoU``. Default ``'cris'``.
        by: groups of expressions whose figures are given, too, as ``size=small/mIoU``: ``'kind'``, ``'size'`` (of
            the referent) and ``'length'`` (in words). Default (): none.
        boundary: whether to give boundary IoU (arXiv 2103.16562), too, as ``bIoU``. Default False.
        collect_device: ``'gpu'`` gathers the numbers through the process group, whatever device that works on;
            ``'cpu'`` through files in a folder that all processes share. Default ``'gpu'``.
        prefix: put before the figures' names, with a slash. Default None: bare names.
    """

    def __init__(self,
                 thresholds: Sequence[int] = (50, 60, 70, 80, 90),
                 protocol: ProtocolSetting = 'cris',
                 by: Sequence[Grouping] = (),
                 boundary: bool = False,
                 collect_device: str = 'gpu',
                 prefix: str | None = None) -> None:
        super().__init__(protocol, by, boundary, collect_device, prefix)
        self.thresholds = tuple(thresholds)

    def own_ratios(self, counts: np.ndarray, protocol: Protocol) -> dict[str, Ratio]:
        """mIoU, oIoU and Pr@X; see :func:`summarise_iou`."""
        return iou_ratios(counts[:, 0], unions_of(counts), self.thresholds, protocol.empty_union, protocol.comparison)
