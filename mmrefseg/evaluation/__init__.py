from typing import TYPE_CHECKING

from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['PROTOCOLS', 'DumpPredictions', 'GRESMetric', 'PhraseCutMetric', 'Protocol', 'ReferringIoUMetric',
           'evaluate', 'intersection_and_union', 'resolve_protocol', 'summarise_gres', 'summarise_iou']

if TYPE_CHECKING:
    from .evaluate_arrays import evaluate
    from .functional import intersection_and_union, summarise_gres, summarise_iou
    from .metrics import DumpPredictions, GRESMetric, PhraseCutMetric, ReferringIoUMetric
    from .protocols import PROTOCOLS, Protocol, resolve_protocol

__getattr__, __dir__ = import_on_demand(__name__)
