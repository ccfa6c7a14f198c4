"""Answering the tasks of shards."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmrefseg.errors import UserError
from mmrefseg.utils.files import make_subfolder
from mmrefseg.visualization import Panel, draw_answers

from ..inference import ImageSource, RefSegInferencer, RefSegResult
from .prediction_tasks import Task
from .shard_folder import ShardFolder

SAVED_PICTURES = {'png': ('masks', '.png'), 'overlay': ('overlays', '.jpg')}
"""What may be saved of each answer → folder and suffix."""


class AnswerSettings(NamedTuple):
    """How images are answered, and what is saved of each answer.

    Args:
        save: what to save of each answer beside its line, of ``SAVED_PICTURES``. Default ().
        batch_size: expressions that the model sees at once. Default 8.
        threshold: probability that a pixel of a mask exceeds. Default None, the config's.
        workers: threads that read and prepare images ahead. Default 2.
    """

    save: tuple[str, ...] = ()
    batch_size: int = 8
    threshold: float | None = None
    workers: int = 2


def predict_shards(ask: RefSegInferencer, folder: ShardFolder, shards: Iterable[int], settings: AnswerSettings,
                   on_shard: Callable[[int, int, int], None]) -> None:
    """Answer shards, each written when all of it is there.

    Args:
        ask: the model.
        folder: where answers go.
        shards: which ones.
        settings: how.
        on_shard: called after each with the numbers of images, answers and unreadable images in it.

    Raises:
        FileError: an answer cannot be written.
    """
    for shard, tasks in folder.tasks_of(shards):
        entries = [entry for _, entry in sorted(_answer(ask, tasks, folder.folder, settings), key=lambda pair: pair[0])]
        folder.write(shard, entries)
        unreadable = sum('error' in entry for entry in entries)
        on_shard(len(tasks), len(entries) - unreadable, unreadable)


def _answer(ask: RefSegInferencer, tasks: list[Task], out: Path,
            settings: AnswerSettings) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """The entries of tasks with the numbers that sort them; those of unreadable images come whenever they are found."""
    sources = [ImageSource(task.image, task.public_only) for task in tasks]
    task_of = {id(source): task for source, task in zip(sources, tasks, strict=True)}
    failed: list[tuple[Task, UserError]] = []
    answered = dict.fromkeys(task_of, 0)
    results = ask.stream(
        ((source, task.expressions) for source, task in zip(sources, tasks, strict=True)), None, settings.batch_size,
        settings.threshold, False, settings.workers, lambda source, error: failed.append((task_of[id(source)], error)))
    for result in results:
        key = id(result.image)
        number, answered[key] = answered[key], answered[key] + 1
        yield (task_of[key].number, number), _entry(result, task_of[key], number, out, settings.save)
    for task, error in failed:
        yield (task.number, 0), {**task.names(), 'error': str(error)}


def _entry(result: RefSegResult, task: Task, number: int, out: Path, save: tuple[str, ...]) -> dict[str, Any]:
    answer = result.to_dict()
    entry = {**task.names(), 'expression': result.expression, 'segmentation': answer['rle'],
             **{key: answer[key] for key in ('score', 'box', 'threshold')}}
    if answer['confidence'] is not None:
        entry['confidence'] = answer['confidence']
    if task.sent_ids:
        entry['sent_id'] = task.sent_ids[number]
    for kind in save:
        folder, suffix = SAVED_PICTURES[kind]
        folder, name = f'{folder}/{task.number // 1000:06d}', f'{task.number:09d}_{number}{suffix}'
        entry[kind] = f'{folder}/{name}'
        _save(result, kind, make_subfolder(out, folder) / name)
    return entry


def _save(result: RefSegResult, kind: str, path: Path) -> None:
    if kind == 'png':
        result.save(path)
    else:
        draw_answers([Panel(result.image.read(), result.mask, result.caption())], path)
