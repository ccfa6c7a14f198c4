from .functional import cris_mask, intersection_and_union, summarise_gres, summarise_iou
from .metrics import DumpPredictions, GRESMetric, ReferringIoUMetric

__all__ = ['DumpPredictions', 'GRESMetric', 'ReferringIoUMetric', 'cris_mask', 'intersection_and_union',
           'summarise_gres', 'summarise_iou']
