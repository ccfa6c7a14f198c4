from .hooks import (
    AtomicCheckpointHook,
    AtomicLocalBackend,
    BroadcastBuffersHook,
    CheckWeightsHook,
    CompleteCheckpointHook,
    ParameterSummaryHook,
    RoutingLogHook,
)
from .optimizers import BFloat16OptimWrapper

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BFloat16OptimWrapper', 'BroadcastBuffersHook', 'CheckWeightsHook',
    'CompleteCheckpointHook', 'ParameterSummaryHook', 'RoutingLogHook'
]
