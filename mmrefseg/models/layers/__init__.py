from .adapters import DETRISAdapter, SERAAdapter, TextAdapter
from .blocks import check_blocks
from .routing import ExpertMixture, Router, RoutingInfo, choose_experts
from .text_features import TextFeatures
from .tuning import apply_tuning

__all__ = [
    'DETRISAdapter', 'ExpertMixture', 'Router', 'RoutingInfo', 'SERAAdapter', 'TextAdapter', 'TextFeatures',
    'apply_tuning', 'check_blocks', 'choose_experts'
]
