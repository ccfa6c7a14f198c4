from typing import TYPE_CHECKING

from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['RefSegDataSample', 'cris_mask', 'cris_scores', 'letterbox_matrix', 'masks_by_matrix', 'masks_by_opencv',
           'resampling_matrix']

if TYPE_CHECKING:
    from .letterbox import cris_mask, cris_scores, letterbox_matrix, masks_by_matrix, masks_by_opencv
    from .refseg_data_sample import RefSegDataSample
    from .resampling import resampling_matrix

__getattr__, __dir__ = import_on_demand(__name__)
