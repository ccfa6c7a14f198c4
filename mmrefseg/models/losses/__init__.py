from .dice_loss import BinaryDiceLoss
from .raf_loss import RAFLoss
from .router_losses import AssignmentLoss, LoadBalanceLoss, RouterZLoss

__all__ = ['AssignmentLoss', 'BinaryDiceLoss', 'LoadBalanceLoss', 'RAFLoss', 'RouterZLoss']
