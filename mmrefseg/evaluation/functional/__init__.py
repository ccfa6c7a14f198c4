from .iou import intersection_and_union, summarise_iou
from .protocols import cris_mask

__all__ = ['cris_mask', 'intersection_and_union', 'summarise_iou']
