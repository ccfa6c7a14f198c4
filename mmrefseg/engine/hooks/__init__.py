from .atomic_checkpoint_hook import AtomicCheckpointHook, AtomicLocalBackend
from .broadcast_buffers_hook import BroadcastBuffersHook
from .check_losses_hook import CheckLossesHook
from .check_setup_hook import CheckSetupHook
from .load_checkpoint_hook import LoadCheckpointHook
from .parameter_summary_hook import ParameterSummaryHook
from .routing_log_hook import RoutingLogHook

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BroadcastBuffersHook', 'CheckLossesHook', 'CheckSetupHook',
    'LoadCheckpointHook', 'ParameterSummaryHook', 'RoutingLogHook'
]
