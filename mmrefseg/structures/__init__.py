from .letterbox import cris_mask, cris_scores, letterbox_matrix, masks_by_matrix, masks_by_opencv
from .refseg_data_sample import RefSegDataSample
from .resampling import resampling_matrix

__all__ = ['RefSegDataSample', 'cris_mask', 'cris_scores', 'letterbox_matrix', 'masks_by_matrix', 'masks_by_opencv',
           'resampling_matrix']
