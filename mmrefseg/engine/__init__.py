from .hooks import AtomicCheckpointHook, AtomicLocalBackend, CheckWeightsHook, ParameterSummaryHook, RoutingLogHook
from .optimizers import BFloat16OptimWrapper

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BFloat16OptimWrapper', 'CheckWeightsHook', 'ParameterSummaryHook',
    'RoutingLogHook'
]
