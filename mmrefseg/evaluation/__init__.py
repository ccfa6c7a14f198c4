from .functional import intersection_and_union, summarise_gres, summarise_iou
from .metrics import DumpPredictions, GRESMetric, PhraseCutMetric, ReferringIoUMetric

__all__ = ['DumpPredictions', 'GRESMetric', 'PhraseCutMetric', 'ReferringIoUMetric',
           'intersection_and_union', 'summarise_gres', 'summarise_iou']
