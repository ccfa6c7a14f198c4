"""Saving checkpoints so that a run that dies leaves the last one whole."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmrefseg.registry import HOOKS
from mmrefseg.utils.files import write_atomically


@register_backend('atomic_local')
class AtomicLocalBackend(LocalBackend):
    """mmengine's backend for local files, but a file appears, or changes, only once it is complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; see :func:`write_atomically`."""
        write_atomically(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text; see :func:`write_atomically`."""
        write_atomically(obj.encode(encoding), filepath)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, from which there is a whole checkpoint to resume at every moment.

    A checkpoint and the note ``last_checkpoint`` appear once they are complete, and what they displace is removed only
    after that: a process that is killed, interrupted or out of disk space loses nothing that was there.

    Args:
        backend_args: where to write. Default None: files of this machine, atomically.
        **kwargs: the arguments of mmengine's ``CheckpointHook``.
    """

    def __init__(self, backend_args: dict | None = None, **kwargs: Any) -> None:
        super().__init__(backend_args=backend_args or dict(backend='atomic_local'), **kwargs)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        displaced = self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            write_atomically(self.last_ckpt.encode(), Path(runner.work_dir, 'last_checkpoint'))
            for path in displaced:
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)

    def _keep(self, runner: Runner, step: int) -> list[str]:
        """Count ``step`` among the checkpoints to keep; returns the paths of those that it displaces."""
        if self.max_keep_ckpts < 1 or step in self.keep_ckpt_ids:
            return []
        is_full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        displaced = [self.keep_ckpt_ids.popleft()] if is_full else []
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return [self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)) for old in displaced]

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # mmengine removes the previous best before it writes the next.
        remove, displaced = self.file_backend.remove, []
        self.file_backend.remove = displaced.append
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend.remove = remove
        for path in displaced:
            remove(path)
