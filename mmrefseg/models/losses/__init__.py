from .binary_cross_entropy_loss import BinaryCrossEntropyLoss
from .binary_dice_loss import BinaryDiceLoss
from .raf_loss import RAFLoss
from .router_losses import AssignmentLoss, LoadBalanceLoss, RouterZLoss

__all__ = [
    'AssignmentLoss',
    'BinaryCrossEntropyLoss',
    'BinaryDiceLoss',
    'LoadBalanceLoss',
    'RAFLoss',
    'RouterZLoss'
]
