from mmrefseg.utils.requirements import refuse, why_not

from .evaluate_arrays import evaluate
from .functional import intersection_and_union, summarise_gres, summarise_iou
from .protocols import PROTOCOLS, Protocol, resolve_protocol

__all__ = ['PROTOCOLS', 'DumpPredictions', 'GRESMetric', 'PhraseCutMetric', 'Protocol', 'ReferringIoUMetric',
           'evaluate', 'intersection_and_union', 'resolve_protocol', 'summarise_gres', 'summarise_iou']

if why_not():
    __getattr__ = refuse(__all__)
else:
    from .metrics import DumpPredictions, GRESMetric, PhraseCutMetric, ReferringIoUMetric
