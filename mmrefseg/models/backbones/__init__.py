from .clip_resnet import CLIPResNet
from .dinov2 import DINOv2

__all__ = ['CLIPResNet', 'DINOv2']
