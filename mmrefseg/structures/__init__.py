from mmrefseg.utils.requirements import refuse, why_not

from .letterbox import cris_mask, cris_scores, letterbox_matrix, masks_by_matrix, masks_by_opencv
from .resampling import resampling_matrix

__all__ = ['RefSegDataSample', 'cris_mask', 'cris_scores', 'letterbox_matrix', 'masks_by_matrix', 'masks_by_opencv',
           'resampling_matrix']

if why_not():
    __getattr__ = refuse(__all__)
else:
    from .refseg_data_sample import RefSegDataSample
