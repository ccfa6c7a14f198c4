from .dump_predictions import DumpPredictions
from .gres_metric import GRESMetric
from .referring_iou_metric import ReferringIoUMetric

__all__ = ['DumpPredictions', 'GRESMetric', 'ReferringIoUMetric']
