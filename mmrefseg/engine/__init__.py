import mmrefseg.utils.needs_openmmlab  # noqa: F401

from .hooks import (
    AtomicCheckpointHook,
    AtomicLocalBackend,
    BroadcastBuffersHook,
    CheckLossesHook,
    CheckSetupHook,
    LoadCheckpointHook,
    ParameterSummaryHook,
    RoutingLogHook,
)
from .optimizers import BFloat16OptimWrapper, MuonAdamW

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BFloat16OptimWrapper', 'BroadcastBuffersHook', 'CheckLossesHook',
    'CheckSetupHook', 'LoadCheckpointHook', 'MuonAdamW', 'ParameterSummaryHook', 'RoutingLogHook'
]
