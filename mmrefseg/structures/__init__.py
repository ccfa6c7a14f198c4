from .letterbox import cris_mask, cris_scores, letterbox_matrix
from .refseg_data_sample import RefSegDataSample

__all__ = ['RefSegDataSample', 'cris_mask', 'cris_scores', 'letterbox_matrix']
