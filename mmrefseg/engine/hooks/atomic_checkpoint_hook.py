"""Saving checkpoints so that a run that dies leaves the last one whole."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmrefseg.checkpoints.trained_only import base_digests, digests, leave_out, part_of
from mmrefseg.checkpoints.weights import unwrap_model
from mmrefseg.errors import InputError
from mmrefseg.registry import HOOKS
from mmrefseg.utils.files import write_atomically

from . import exact_resume
from .complete_checkpoint_hook import CompleteCheckpointHook
from .spoilt import infinite_buffers, refuse_spoilt


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

    Beside mmengine's content a checkpoint has ``exact_resume``: the state of every process's random generators, the
    sampler's seed, and within a step of accumulated gradients those of each process. A resumed training then draws and
    computes what the unbroken one would have, bit for bit on a CPU, with the same number of processes; a validation
    that was due when the checkpoint was saved is run first. Random transforms in worker processes depend on the sample
    alone with our samplers; with mmengine's they begin again where ``persistent_workers`` is set.

    A state with NaN or infinity in a parameter, buffer, average, the optimizer's state or a gradient to be accumulated
    is never saved: training ends with a message that names the last good checkpoint. Buffers that are infinite from
    the start, such as masks, may stay so.

    With ``trained_only`` checkpoints lack the frozen weights that the config's pretrained files hold, and have a
    SHA-256 of them instead, one for each part of the model. They are resumed, loaded and tested as full ones are,
    where ``CompleteCheckpointHook`` is among the hooks (as in ``_base_/default_runtime.py``) and the pretrained files
    are there; ``tools/model_converters/merge_checkpoint.py`` makes full ones of them. What is left out is found by
    building the model once more when training begins: whatever doesn't train but isn't found again bit for bit, such
    as frozen random weights, or ones of another checkpoint in ``load_from``, is saved all the same.

    Args:
        backend_args: where to write. Default None: files of this machine, atomically.
        trained_only: whether checkpoints hold only what was trained, and buffers that changed. Default False.
        **kwargs: the arguments of mmengine's ``CheckpointHook``.

    Raises:
        InputError: when training begins, with ``trained_only``: there is no ``CompleteCheckpointHook``, or the runner
            got a model where a config was needed. When saving: the state isn't finite.
    """

    def __init__(self, backend_args: dict | None = None, trained_only: bool = False, **kwargs: Any) -> None:
        super().__init__(backend_args=backend_args or dict(backend='atomic_local'), **kwargs)
        self.trained_only = trained_only
        self._base: dict[str, str] = {}
        self._place: str | None = None
        self._resumed: dict | None = None
        self._to_save: dict | None = None
        self._infinite: set[str] = set()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take out what is needed to resume exactly."""
        self._resumed = checkpoint.pop('exact_resume', None)

    def before_train(self, runner: Runner) -> None:
        """Learn which weights the config gives without training, if they are to be left out; resume exactly."""
        super().before_train(runner)
        self._infinite = infinite_buffers(unwrap_model(runner.model))
        if self.trained_only:
            self._learn_base(runner)
        if runner.iter:
            exact_resume.resume(runner, self._resumed)
            self._resumed = None

    def _learn_base(self, runner: Runner) -> None:
        if not any(isinstance(hook, CompleteCheckpointHook) for hook in runner.hooks):
            raise InputError("trained_only needs CompleteCheckpointHook to load what it saves: add dict(type='mmrefseg."
                             "CompleteCheckpointHook') to custom_hooks")
        if 'model' not in runner.cfg:
            raise InputError('trained_only needs a runner whose cfg has the config of the model: use Runner.from_cfg')
        # In every process: loaders of weights may wait for each other.
        self._base = base_digests(runner.cfg.model)
        if is_main_process():
            self._report(runner)

    def _report(self, runner: Runner) -> None:
        """Log how much is left out, and warn of frozen weights that cannot be."""
        frozen = {name: value for name, value in unwrap_model(runner.model).named_parameters()
                  if not value.requires_grad}
        kept = {name for name, found in digests(frozen).items() if self._base.get(name) != found}
        millions = {is_kept: sum(value.numel() for name, value in frozen.items() if (name in kept) == is_kept) / 1e6
                    for is_kept in (False, True)}
        runner.logger.info(f'Checkpoints leave out {millions[False]:.3f} M frozen weights.')
        if kept:
            parts = ', '.join(sorted({part_of(name) for name in kept}))
            runner.logger.warning(
                f'Checkpoints hold {millions[True]:.3f} M frozen weights of {parts} in spite of trained_only: they '
                'are random or come from another checkpoint, so that the config alone does not give them again.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Leave out what the config gives without training, and add what is needed to resume exactly."""
        if self._to_save:
            checkpoint['exact_resume'] = self._to_save
        if self.trained_only:
            leave_out(checkpoint, unwrap_model(runner.model), self._base)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint, and the last one again where there is a new best."""
        if self.save_best:
            refuse_spoilt(runner, self._infinite)
        self._place = exact_resume.AFTER_VALIDATION
        super().after_val_epoch(runner, metrics)
        self._place = None

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        refuse_spoilt(runner, self._infinite)
        self._to_save = exact_resume.gather_state(runner, self._place or self._place_in_training(runner))
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
        self._to_save = None
        if is_main_process():
            write_atomically(self.last_ckpt.encode(), Path(runner.work_dir, 'last_checkpoint'))
            for path in displaced:
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)

    def _place_in_training(self, runner: Runner) -> str:
        within = not self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop)
        return exact_resume.WITHIN_EPOCH if within else exact_resume.BEFORE_VALIDATION

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
