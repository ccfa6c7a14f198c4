"""One set of BatchNorm statistics for all processes."""
from __future__ import annotations

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Gives every process the first one's buffers before validation.

    Without SyncBN each process has running statistics of its own, while the checkpoint holds those of the first:
    validation with several processes would be of another model than the one that is saved.
    """

    priority = 'VERY_HIGH'

    def before_val_epoch(self, runner: Runner) -> None:
        """Copy the first process's buffers to all others."""
        for buffer in runner.model.buffers():
            broadcast(buffer)
