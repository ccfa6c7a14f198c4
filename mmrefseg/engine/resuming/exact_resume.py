"""What a checkpoint needs beside mmengine's, so that a resumed training goes on as an unbroken one would have."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from mmengine.dist import all_gather_object, gather_object, get_rank, get_world_size
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mmrefseg.checkpoints.module_weights import unwrap_model
from mmrefseg.datasets.samplers import begin_again, sampler_of
from mmrefseg.errors import InputError
from mmrefseg.utils.random_state import get_state, set_state

# Where in the run a checkpoint was saved.
BEFORE_VALIDATION = 'before validation'
AFTER_VALIDATION = 'after validation'
WITHIN_EPOCH = 'within an epoch'


def within_step(runner: Runner) -> bool:
    """Whether the last iteration may have left gradients that later ones add to, as with ``accumulative_counts``.

    Args:
        runner: the runner, between two iterations.
    """
    wrapper = runner.optim_wrapper
    return isinstance(wrapper, OptimWrapperDict) or not wrapper.should_update()


def gather_state(runner: Runner, place: str) -> dict[str, Any]:
    """Gather, in all processes, what the checkpoint of the first one is to hold.

    Args:
        runner: the runner, between two iterations.
        place: where in the run; one of the constants here.

    Returns:
        ``place``, the ``sampler_seed``, of the dataloaders whether they have ``workers`` that stay, and for each
        process its random ``generators`` and, within an accumulated step, the ``gradients`` by the parameter's name;
        these in the first process only.
    """
    gradients = {}
    if within_step(runner):
        gradients = {name: value.grad.cpu() for name, value in unwrap_model(runner.model).named_parameters()
                     if value.grad is not None}
    gathered = gather_object(gradients) if any(all_gather_object(bool(gradients))) else None
    return dict(
        place=place,
        sampler_seed=getattr(sampler_of(runner.train_dataloader), 'seed', None),
        workers=[loader._iterator is not None for loader in _loaders(runner)],
        generators=all_gather_object(get_state()),
        gradients=gathered or [{}] * get_world_size())


def _loaders(runner: Runner) -> list[DataLoader]:
    return [runner.train_dataloader] + ([runner.val_dataloader] if runner.val_loop else [])


def _is_seed(seed: Any) -> bool:
    return seed is None or (type(seed) is int and 0 <= seed < 1 << 63)  # what PyTorch's generators take


def _is_whole(state: Any) -> bool:
    return (isinstance(state, dict) and isinstance(state.get('place'), str)
            and _is_seed(state.get('sampler_seed', ''))
            and all(isinstance(state.get(name), list) and all(isinstance(part, kind) for part in state[name])
                    for name, kind in (('workers', bool), ('generators', dict), ('gradients', dict)))
            and len(state['generators']) == len(state['gradients']) > 0)


def resume(runner: Runner, state: dict[str, Any] | None) -> None:
    """Set a runner that mmengine resumed to the very point where the checkpoint was saved.

    A validation that was due then is run now. To be called in all processes, as the last thing before training.

    Args:
        runner: the runner, its model, optimizer and seed loaded.
        state: what :func:`gather_state` gave, or None if the checkpoint has none.

    Raises:
        InputError: the state isn't such a one, or of another model.
    """
    if state is not None and not _is_whole(state):
        raise InputError("the checkpoint's exact_resume is damaged; resume from another checkpoint")
    loop = runner.train_loop
    # Older checkpoints lack the sampler's seed, which is the runner's but for rare settings.
    begin_again(loop.dataloader, state['sampler_seed'] if state else _own_seed(runner), runner.seed)
    if isinstance(loop, IterBasedTrainLoop):
        kind, loop.dataloader_iterator = type(loop.dataloader_iterator), None
        loop.dataloader_iterator = kind(loop.dataloader)
    if state:
        _start_workers(runner, state['workers'])
    _restore_process(runner, state)
    if state and state['place'] == BEFORE_VALIDATION and _validation_is_due(runner):
        runner.logger.info('Validating what the checkpoint was saved ahead of.')
        runner.val_loop.run()
    if isinstance(loop, IterBasedTrainLoop):
        loop.dataloader_iterator = _Batches(loop.dataloader_iterator, loop.iter)
    elif state and state['place'] == WITHIN_EPOCH:
        _finish_epoch(runner, loop)


def _start_workers(runner: Runner, had_workers: list[bool]) -> None:
    """Start workers that stay and were there: PyTorch draws a number for them from its generator when they start.

    A loop over iterations starts those of training itself, among what leaves no trace.
    """
    first = int(isinstance(runner.train_loop, IterBasedTrainLoop))
    for loader, had in list(zip(_loaders(runner), had_workers, strict=False))[first:]:
        if had and loader.persistent_workers and loader._iterator is None:
            iter(loader)


def _own_seed(runner: Runner) -> int | None:
    given = runner._train_dataloader
    by_runner = isinstance(given, dict) and isinstance(given['sampler'], dict) and 'seed' not in given['sampler']
    return runner.seed if by_runner and not runner._randomness_cfg.get('diff_rank_seed') else None


def _restore_process(runner: Runner, state: dict[str, Any] | None) -> None:
    """Set this process's generators and gradients."""
    if state is None:
        runner.logger.warning('The checkpoint has no state of the random generators: dropout, noise and unseeded '
                              'augmentation go on with other numbers than the unbroken run.')
    elif len(state['generators']) != get_world_size():
        runner.logger.warning(
            f'The checkpoint is of a run of {len(state["generators"])} processes, this one has {get_world_size()}: '
            'random numbers come out otherwise than in the unbroken run, and the gradients of a step that was begun '
            'are lost.')
    else:
        set_state(state['generators'][get_rank()])
        _restore_gradients(runner, state['gradients'][get_rank()])


def _restore_gradients(runner: Runner, gradients: dict[str, Tensor]) -> None:
    if not gradients or not within_step(runner):
        return
    parameters = dict(unwrap_model(runner.model).named_parameters())
    for name, gradient in gradients.items():
        parameter = parameters.get(name)
        if parameter is None or not isinstance(gradient, Tensor) or gradient.shape != parameter.shape:
            raise InputError(f'the checkpoint has a gradient of {name}, which does not fit the model; resume with the '
                             'config that it was trained with')
        parameter.grad = gradient.to(parameter)
    runner.logger.info('The gradients of the step that the checkpoint was saved in were restored.')


def _validation_is_due(runner: Runner) -> bool:
    """Whether the loop would have validated after the iteration, or epoch, that is done."""
    loop, val_loop = runner.train_loop, runner.val_loop
    if isinstance(loop, EpochBasedTrainLoop):
        done, last = loop.epoch, loop.max_epochs
    else:
        done, last = loop.iter, loop.max_iters
    if val_loop is None or done < loop.val_begin:
        return False
    loop._decide_current_val_interval()
    return done % loop.val_interval == 0 or done == last


class _Batches(Iterator):
    """What a resumed loop takes its batches from; those that it skips leave no trace in the random generators."""

    def __init__(self, batches: Iterable, skipped: int) -> None:
        self._batches = _after(batches, skipped)

    def __next__(self) -> Any:
        return next(self._batches)

    def skip_iter(self, count: int) -> None:
        """Skip batches, as OneDL's mmengine asks for it; OpenMMLab's takes them one by one.

        Args:
            count: how many.
        """
        for _ in range(count):
            next(self)


def _after(batches: Iterable, count: int) -> Iterator:
    """Yield batches; those after the first ``count`` are drawn as if these hadn't been."""
    state = get_state()
    batches = iter(batches)
    yield from islice(batches, count)
    set_state(state)
    yield from batches


def _finish_epoch(runner: Runner, loop: EpochBasedTrainLoop) -> None:
    """Let the loop's next epoch be the rest of the one that was begun; mmengine would train all of it again."""
    done = loop.iter - loop.epoch * len(loop.dataloader)
    if not 0 < done <= len(loop.dataloader):
        runner.logger.warning('The epoch has another length than in the run before, and is begun again.')
        return

    def run_epoch() -> None:
        del loop.run_epoch
        runner.call_hook('before_train_epoch')
        runner.model.train()
        for number, batch in islice(enumerate(_after(loop.dataloader, done)), done, None):
            loop.run_iter(number, batch)
        runner.call_hook('after_train_epoch')
        loop._epoch += 1

    loop.run_epoch = run_epoch
