from .adapters import SERAAdapter, TextAdapter
from .blocks import check_blocks
from .routing import ExpertMixture, Router, RoutingInfo
from .text_features import TextFeatures
from .tuning import apply_tuning

__all__ = [
    'ExpertMixture', 'Router', 'RoutingInfo', 'SERAAdapter', 'TextAdapter', 'TextFeatures', 'apply_tuning',
    'check_blocks'
]
