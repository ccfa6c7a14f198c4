from .clip_resnet import CLIPResNet
from .plain_vit import PlainViT

__all__ = ['CLIPResNet', 'PlainViT']
