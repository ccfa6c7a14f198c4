"""Saving checkpoints so that a run that dies leaves the last one whole."""
from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmrefseg.checkpoints.latest_checkpoint import latest_whole_checkpoint, missing_parts
from mmrefseg.checkpoints.loading import is_hub_state, is_run_meta
from mmrefseg.checkpoints.module_weights import unwrap_model
from mmrefseg.checkpoints.reading import check_readable
from mmrefseg.checkpoints.trained_only import base_digests, digests, part_of, remove_frozen_weights
from mmrefseg.errors import InputError, UserError
from mmrefseg.registry import HOOKS
from mmrefseg.utils.files import write_atomically

from ..resuming import exact_resume
from ..resuming.non_finite_state import infinite_buffers, refuse_non_finite
from ..resuming.noted_files import keep_own_notes, regular_file
from ..resuming.state_checks import check_training_state
from .load_checkpoint_hook import LoadCheckpointHook

_LOCAL = ('atomic_local', 'local')


@register_backend('atomic_local')
class AtomicLocalBackend(LocalBackend):
    """mmengine's backend for local files, but a file appears, or changes, only once it is complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes into a file, completely or not at all; see :func:`write_atomically`."""
        write_atomically(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text into a file, completely or not at all; see :func:`write_atomically`."""
        write_atomically(obj.encode(encoding), filepath)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, from which there is a whole checkpoint to resume at every moment.

    A checkpoint and the note ``last_checkpoint`` appear once they are complete, and what they displace is removed only
    after that: a process that is killed, interrupted or out of disk space loses nothing that was there.

    With ``resume`` and no ``load_from`` a run goes on from the last whole and finite checkpoint of its own folder,
    which may have been copied or moved since; without one, it begins with the weights that the config's ``start_from``
    names, if any. It removes regular files there alone, and only ones named as checkpoints
    are: those of another run, from whose checkpoint it went on, stay.

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
    where ``LoadCheckpointHook`` is among the hooks (as in ``_base_/default_runtime.py``) and the pretrained files
    are there; ``tools/model_converters/merge_checkpoint.py`` makes full ones of them. What is left out is found by
    building the model once more when training begins: whatever doesn't train but isn't found again bit for bit, such
    as frozen random weights, or ones of another checkpoint in ``load_from``, is saved all the same.

    Args:
        backend_args: where to write. Default None: files of this machine, atomically.
        trained_only: whether checkpoints hold only what was trained, and buffers that changed. Default False.
        **kwargs: the arguments of mmengine's ``CheckpointHook``.

    Raises:
        InputError: when training begins, with ``trained_only``: there is no ``LoadCheckpointHook``, or the runner
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

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume, where none is named. The main process does it for all."""
        if not runner._resume:
            return
        if runner._load_from is None:
            if self.backend_args.get('backend') not in _LOCAL:
                return  # mmengine reads the note, which names a file there
            choice = [self._choose(runner) if is_main_process() else None]
            broadcast_object_list(choice)
            if isinstance(choice[0], UserError):
                raise choice[0]
            runner._resume = choice[0] is not None
            runner._load_from = choice[0]
        if runner._resume:
            runner.logger.info(f'Training goes on from {Path(runner._load_from).absolute()}')
            return
        runner._load_from = runner.cfg.get('start_from')
        start = f', from {runner._load_from}' if runner._load_from else ''
        runner.logger.warning(f'there is no checkpoint in {self._folder(runner)} to resume; training starts at the '
                              f'beginning{start}')

    def _choose(self, runner: Runner) -> str | UserError | None:
        try:
            names = [name for name, _ in unwrap_model(runner.model).named_parameters()]
            path = latest_whole_checkpoint(runner.work_dir, self._folder(runner), self.filename_tmpl,
                                           self._parts_to_resume(runner), runner.logger.warning, names)
        except UserError as error:
            return error  # for the other processes, which wait for an answer
        return path and str(path)

    def _folder(self, runner: Runner) -> Path:
        """Where this run's checkpoints are; mmengine works it out when training begins."""
        return Path(self.out_dir, Path(runner.work_dir).name) if self.out_dir else Path(runner.work_dir)

    def _parts_to_resume(self, runner: Runner) -> list[str]:
        schedulers = self.save_param_scheduler and runner.param_schedulers
        return ['meta', 'state_dict', 'message_hub', *(['optimizer'] if self.save_optimizer else []),
                *(['param_schedulers'] if schedulers else [])]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to resume what isn't a training's, and forget the files of other folders that it names."""
        self._resumed = checkpoint.pop('exact_resume', None)
        hub, meta = checkpoint.get('message_hub'), checkpoint.get('meta')
        if runner._resume:
            missing = missing_parts(checkpoint, self._parts_to_resume(runner))
            if missing:
                raise InputError(
                    f'{runner._load_from} cannot be resumed: it lacks {", ".join(missing)}, as best and published '
                    f'checkpoints do. Resume one that was saved as {self.filename_tmpl.format("N")}, or start a new '
                    f'training from these weights: --cfg-options load_from={runner._load_from}, without --resume.')
            if not is_hub_state(hub) or not is_run_meta(meta):
                raise InputError(f'{runner._load_from} cannot be resumed: its message_hub or its meta is none of a '
                                 'training. Resume another checkpoint.')
            self._refuse_beyond_the_end(runner, meta)
            check_training_state(checkpoint, runner)
        if is_hub_state(hub):
            self._keep_own_notes(runner, hub, meta if isinstance(meta, dict) else {})

    def _refuse_beyond_the_end(self, runner: Runner, meta: dict) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        name, done = ('max_epochs', meta['epoch']) if by_epoch else ('max_iters', meta['iter'])
        last = getattr(runner.train_loop, name)
        if done > last:  # mmengine would go through the data as often first
            raise InputError(f'{runner._load_from} cannot be resumed: its training came to {done}, but this one ends '
                             f'with {name} = {last}. Set train_cfg.{name} higher, or resume an earlier checkpoint.')

    def _keep_own_notes(self, runner: Runner, message_hub: dict[str, dict], meta: dict) -> None:
        folder, source = self._folder(runner), runner._load_from
        is_own = source is None or Path(source).resolve().parent == folder.resolve()
        step = meta.get('epoch' if self.by_epoch else 'iter')
        elsewhere = keep_own_notes(message_hub, folder, self.filename_tmpl, step if type(step) is int else 0, is_own)
        for path in elsewhere:
            runner.logger.warning(f'The best checkpoint so far was noted as {path}, which is none of {folder}: it is '
                                  'left alone. This run saves a best one as soon as it is better.')

    def before_train(self, runner: Runner) -> None:
        """Check ``save_best``; learn which weights the config gives without training, to leave them out; resume."""
        self._check_save_best(runner)
        super().before_train(runner)
        self._infinite = infinite_buffers(unwrap_model(runner.model))
        if self.trained_only:
            self._learn_base(runner)
        if runner.iter:
            exact_resume.resume(runner, self._resumed)
            self._resumed = None

    def _learn_base(self, runner: Runner) -> None:
        if not any(isinstance(hook, LoadCheckpointHook) for hook in runner.hooks):
            raise InputError("trained_only needs LoadCheckpointHook to load what it saves: add dict(type='mmrefseg."
                             "LoadCheckpointHook') to custom_hooks")
        if 'model' not in runner.cfg:
            raise InputError('trained_only needs a runner whose cfg has the config of the model: use Runner.from_cfg')
        # In every process: loaders of weights may wait for each other.
        self._base = base_digests(runner.cfg.model)
        if is_main_process():
            self._report(runner)

    def _check_save_best(self, runner: Runner) -> None:
        metrics = getattr(runner.val_loop.evaluator, 'metrics', []) if self.save_best and runner.val_loop else []
        if not metrics or not all(hasattr(metric, 'figures') for metric in metrics):
            return  # metrics of others don't say what they give
        given = [f'{metric.prefix}/{name}' if metric.prefix else name for metric in metrics for name in metric.figures]
        self._refuse_unknown(given)

    def _refuse_unknown(self, given: Collection[str]) -> None:
        unknown = [name for name in self.key_indicators if name != 'auto' and name not in given]
        if unknown:
            raise InputError(f"save_best names {', '.join(map(repr, unknown))}, but val_evaluator's metrics give "
                             f'{", ".join(given) or "no figures"}. Set default_hooks.checkpoint.save_best to one of '
                             'these, or to None.')

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
            remove_frozen_weights(checkpoint, unwrap_model(runner.model), self._base)
        check_readable(checkpoint)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint, and the last one again where there is a new best."""
        if self.save_best:
            refuse_non_finite(runner, self._infinite)
        self._place = exact_resume.AFTER_VALIDATION
        super().after_val_epoch(runner, metrics)
        self._place = None

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        refuse_non_finite(runner, self._infinite)
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
            self._remove(displaced)

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
        if not self.save_best:
            return
        self._refuse_unknown(metrics)
        # mmengine removes the previous best before it writes the next.
        remove, displaced = self.file_backend.remove, []
        self.file_backend.remove = displaced.append
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend.remove = remove
        new = {self.best_ckpt_path} if len(self.key_indicators) == 1 else set(self.best_ckpt_path_dict.values())
        self._remove([path for path in displaced if path not in new])

    def _remove(self, paths: Collection[str]) -> None:
        """Remove checkpoints: files themselves, no links to any."""
        is_local = isinstance(self.file_backend, LocalBackend)
        for path in paths:
            if regular_file(path) if is_local else self.file_backend.isfile(path):
                self.file_backend.remove(path)
