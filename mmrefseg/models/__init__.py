from typing import TYPE_CHECKING

import mmrefseg.utils.needs_openmmlab  # noqa: F401
from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = [
    'CRISFPN', 'AssignmentLoss', 'BinaryDiceLoss', 'CLIPResNet', 'DETRISAdapter', 'DeformableSEProjector',
    'DynamicKernelHead', 'LoadBalanceLoss', 'OpenCLIPTextEncoder', 'PlainViT', 'RAFLoss', 'ReferringDataPreProcessor',
    'ReferringSegmentor', 'RouterZLoss', 'SERAAdapter', 'SERAFusion', 'TextFeatures'
]

if TYPE_CHECKING:
    from .backbones import CLIPResNet, PlainViT
    from .data_preprocessor import ReferringDataPreProcessor
    from .decode_heads import DynamicKernelHead
    from .layers import DETRISAdapter, SERAAdapter, TextFeatures
    from .losses import AssignmentLoss, BinaryDiceLoss, LoadBalanceLoss, RAFLoss, RouterZLoss
    from .necks import CRISFPN, DeformableSEProjector, SERAFusion
    from .segmentors import ReferringSegmentor
    from .text_encoders import OpenCLIPTextEncoder

__getattr__, __dir__ = import_on_demand(__name__)
