from .functional import cris_mask, intersection_and_union, summarise_iou
from .metrics import DumpPredictions, ReferringIoUMetric

__all__ = ['DumpPredictions', 'ReferringIoUMetric', 'cris_mask', 'intersection_and_union', 'summarise_iou']
