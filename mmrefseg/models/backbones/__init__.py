from typing import TYPE_CHECKING

from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['CLIPResNet', 'PlainViT']

if TYPE_CHECKING:
    from .clip_resnet import CLIPResNet
    from .plain_vit import PlainViT

__getattr__, __dir__ = import_on_demand(__name__)
