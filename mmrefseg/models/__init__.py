from mmrefseg.utils.requirements import check_operators

check_operators()

from .backbones import CLIPResNet, DINOv2  # noqa: E402
from .data_preprocessor import ReferringDataPreProcessor  # noqa: E402
from .decode_heads import DynamicKernelHead  # noqa: E402
from .layers import DETRISAdapter, SERAAdapter, TextFeatures  # noqa: E402
from .losses import AssignmentLoss, BinaryDiceLoss, LoadBalanceLoss, RAFLoss, RouterZLoss  # noqa: E402
from .necks import CRISFPN, DeformableSEProjector, SERAFusion  # noqa: E402
from .segmentors import ReferringSegmentor  # noqa: E402
from .text_encoders import OpenCLIPTextEncoder  # noqa: E402

__all__ = [
    'CRISFPN', 'AssignmentLoss', 'BinaryDiceLoss', 'CLIPResNet', 'DETRISAdapter', 'DINOv2', 'DeformableSEProjector',
    'DynamicKernelHead', 'LoadBalanceLoss', 'OpenCLIPTextEncoder', 'RAFLoss', 'ReferringDataPreProcessor',
    'ReferringSegmentor', 'RouterZLoss', 'SERAAdapter', 'SERAFusion', 'TextFeatures'
]
