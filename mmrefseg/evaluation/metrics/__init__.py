from .dump_predictions import DumpPredictions
from .referring_iou_metric import ReferringIoUMetric

__all__ = ['DumpPredictions', 'ReferringIoUMetric']
