from .hooks import (
    AtomicCheckpointHook,
    AtomicLocalBackend,
    BroadcastBuffersHook,
    CheckLeakageHook,
    CheckLossesHook,
    CheckWeightsHook,
    CompleteCheckpointHook,
    ParameterSummaryHook,
    RoutingLogHook,
)
from .optimizers import BFloat16OptimWrapper

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BFloat16OptimWrapper', 'BroadcastBuffersHook', 'CheckLeakageHook',
    'CheckLossesHook', 'CheckWeightsHook', 'CompleteCheckpointHook', 'ParameterSummaryHook', 'RoutingLogHook'
]
