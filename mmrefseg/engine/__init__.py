from typing import TYPE_CHECKING

import mmrefseg.utils.needs_openmmlab  # noqa: F401
from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BFloat16OptimWrapper', 'BroadcastBuffersHook', 'CheckLossesHook',
    'CheckSetupHook', 'LoadCheckpointHook', 'MuonAdamW', 'ParameterSummaryHook', 'RoutingLogHook'
]

if TYPE_CHECKING:
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

__getattr__, __dir__ = import_on_demand(__name__)
