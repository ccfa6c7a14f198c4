from .adapters import DETRISAdapter, SERAAdapter, TextAdapter
from .presence import PresenceOutput
from .rerouting import frozen_to, rerouted, without
from .routing import ExpertMixture, Router, RoutingInfo, StepLog, choose_experts
from .setting_checks import check_heads, check_multiple, check_setting, check_size, choose_blocks, is_whole
from .text_features import TextFeatures
from .tuning import apply_tuning

__all__ = [
    'DETRISAdapter', 'ExpertMixture', 'PresenceOutput', 'Router', 'RoutingInfo', 'SERAAdapter', 'StepLog',
    'TextAdapter', 'TextFeatures', 'apply_tuning', 'check_heads', 'check_multiple', 'check_setting', 'check_size',
    'choose_blocks', 'choose_experts', 'frozen_to', 'is_whole', 'rerouted', 'without'
]
