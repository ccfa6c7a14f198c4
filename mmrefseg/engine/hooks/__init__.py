from .atomic_checkpoint_hook import AtomicCheckpointHook, AtomicLocalBackend
from .broadcast_buffers_hook import BroadcastBuffersHook
from .check_batch_size_hook import CheckBatchSizeHook
from .check_input_size_hook import CheckInputSizeHook
from .check_leakage_hook import CheckLeakageHook
from .check_losses_hook import CheckLossesHook
from .check_weights_hook import CheckWeightsHook
from .complete_checkpoint_hook import CompleteCheckpointHook
from .parameter_summary_hook import ParameterSummaryHook
from .routing_log_hook import RoutingLogHook

__all__ = [
    'AtomicCheckpointHook', 'AtomicLocalBackend', 'BroadcastBuffersHook', 'CheckBatchSizeHook', 'CheckInputSizeHook',
    'CheckLeakageHook', 'CheckLossesHook', 'CheckWeightsHook', 'CompleteCheckpointHook', 'ParameterSummaryHook',
    'RoutingLogHook'
]
