from .atomic_checkpoint_hook import AtomicCheckpointHook, AtomicLocalBackend
from .broadcast_buffers_hook import BroadcastBuffersHook
from .check_losses_hook import CheckLossesHook
from .draw_samples_hook import DrawSamplesHook
from .load_checkpoint_hook import LoadCheckpointHook
from .routing_log_hook import RoutingLogHook
from .startup_hooks import CheckSetupHook, ParameterSummaryHook

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BroadcastBuffersHook', 'CheckLossesHook', 'CheckSetupHook',
    'DrawSamplesHook', 'LoadCheckpointHook', 'ParameterSummaryHook', 'RoutingLogHook'
]
