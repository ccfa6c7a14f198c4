from .dice_loss import BinaryDiceLoss
from .router_losses import AssignmentLoss, LoadBalanceLoss, RouterZLoss

__all__ = ['AssignmentLoss', 'BinaryDiceLoss', 'LoadBalanceLoss', 'RouterZLoss']
