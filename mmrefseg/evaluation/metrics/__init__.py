import mmrefseg.utils.needs_openmmlab  # noqa: F401

from .dump_predictions import DumpPredictions
from .gres_metric import GRESMetric
from .phrasecut_metric import PhraseCutMetric
from .referring_iou_metric import ReferringIoUMetric

__all__ = ['DumpPredictions', 'GRESMetric', 'PhraseCutMetric', 'ReferringIoUMetric']
