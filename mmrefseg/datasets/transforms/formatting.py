"""The transform at the end of a pipeline."""
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmrefseg.registry import TRANSFORMS
from mmrefseg.structures import RefSegDataSample

META_KEYS = ('text', 'kind', 'ref_id', 'sent_id', 'ann_id', 'image_id', 'task_id', 'sample_idx', 'img_path',
             'image_folder', 'ori_shape', 'img_shape', 'scale_factor', 'warp_matrix', 'img_padding_size',
             'shared_image')


@TRANSFORMS.register_module()
class PackRefSegInputs(BaseTransform):
    """Pack the image as a tensor, and the mask and all that is known of the sample as a ``RefSegDataSample``.

    Required Keys:

    - img (np.ndarray, uint8, (H, W, 3))
    - gt_seg_map (np.ndarray, uint8, (H, W), optional: there is none when a user asks)
    - every key in ``meta_keys`` that is there

    Returned Keys (all others are dropped):

    - inputs (torch.Tensor, uint8, (3, H, W))
    - data_samples (RefSegDataSample, with ``gt_sem_seg`` uint8 (1, H, W) and the metainfo)

    Args:
        meta_keys: keys that become metainfo; missing ones are skipped. Default all that ``RefSegDataSample`` names.
    """

    touches = 'annotation'

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack a sample's values into the tensors and the data sample that the model takes."""
        height, width, channels = results['img'].shape
        planes = np.empty((channels, height, width), results['img'].dtype)
        cv2.split(results['img'], list(planes))  # twice as fast as a transposed copy
        inputs = torch.from_numpy(planes)
        sample = RefSegDataSample()
        for key in self.meta_keys:
            if key in results:
                sample.set_field(results[key], key, field_type='metainfo')  # set_metainfo would copy it, deeply
        if 'gt_seg_map' in results:
            mask = torch.from_numpy(np.ascontiguousarray(results['gt_seg_map']))
            sample.gt_sem_seg = PixelData(data=mask[None])
        return {'inputs': inputs, 'data_samples': sample}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
