from .hooks import (
    AtomicCheckpointHook,
    AtomicLocalBackend,
    BroadcastBuffersHook,
    CheckBatchSizeHook,
    CheckInputSizeHook,
    CheckLeakageHook,
    CheckLossesHook,
    CheckWeightsHook,
    CompleteCheckpointHook,
    ParameterSummaryHook,
    RoutingLogHook,
)
from .optimizers import BFloat16OptimWrapper

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BFloat16OptimWrapper', 'BroadcastBuffersHook', 'CheckBatchSizeHook',
    'CheckInputSizeHook', 'CheckLeakageHook', 'CheckLossesHook', 'CheckWeightsHook', 'CompleteCheckpointHook',
    'ParameterSummaryHook', 'RoutingLogHook'
]
