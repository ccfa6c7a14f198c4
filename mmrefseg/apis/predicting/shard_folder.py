"""A folder of shards: each is written at once, by one process, and together they are all answers, each once."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mmrefseg.datasets.json_line_format import decode_line, iterate_lines
from mmrefseg.errors import InputError
from mmrefseg.utils.files import (
    make_subfolder,
    open_atomically,
    read_json,
    refuse_foreign_files,
    refuse_link,
    write_atomically,
    write_json,
)
from mmrefseg.utils.locks import locked_file

from .prediction_tasks import Task

PREDICTIONS, UNREADABLE, COCO = 'predictions.jsonl', 'unreadable.jsonl', 'instances.json'

_PLAN, _SHARDS = 'plan.json', 'shards'
_FOLDERS = (_SHARDS, 'masks', 'overlays')
_WRITTEN = (PREDICTIONS, UNREADABLE, COCO, *_FOLDERS)


class Merged(NamedTuple):
    """How much a merge of shards wrote.

    Args:
        images: answered images.
        answers: answers about them.
        unreadable: images that could not be read.
    """

    images: int
    answers: int
    unreadable: int


class ShardFolder:
    """Where answers are kept: ``plan.json``, which says what is asked, ``shards/``, and what they are merged into.

    Args:
        folder: the folder.
        tasks: gives all tasks, in the same order each time.
        settings: what else the answers depend on; JSON can hold it.
        size: tasks per shard.

    Raises:
        InputError: the folder is of other tasks or settings.
        FileError: the folder cannot be written, or holds links to folders, or files of the same names that are not of
            such a run.
    """

    def __init__(self, folder: Path, tasks: Callable[[], Iterator[Task]], settings: Mapping[str, Any],
                 size: int) -> None:
        self.folder, self.tasks, self.size = folder, tasks, size
        digest, self.number = hashlib.sha256(), 0
        for task in tasks():
            digest.update(json.dumps(task).encode())
            self.number += 1
        for name in _FOLDERS:
            refuse_link(folder / name)
        self._agree(dict(images=self.number, images_per_shard=size, questions=digest.hexdigest(), **settings))

    def __len__(self) -> int:
        return (self.number + self.size - 1) // self.size

    def path(self, shard: int) -> Path:
        """The path of a shard's file, whether it is there or not.

        Args:
            shard: which one, from 0.
        """
        return self.folder / _SHARDS / f'{shard:07d}.jsonl'

    def pending(self, rank: int, world_size: int, resume: bool) -> list[int]:
        """The shards that a process has still to answer.

        Args:
            rank: which process, from 0.
            world_size: how many there are.
            resume: whether shards may be there.

        Raises:
            InputError: some are, and ``resume`` is False.
        """
        mine = range(rank, len(self), world_size)
        pending = [shard for shard in mine if not self.path(shard).exists()]
        if len(pending) < len(mine) and not resume:
            raise InputError(f'{self.folder} holds answers already. Go on with --resume, or name another folder')
        return pending

    def tasks_of(self, shards: Iterable[int]) -> Iterator[tuple[int, list[Task]]]:
        """Read the tasks of some shards, shard by shard.

        Args:
            shards: which ones.
        """
        wanted = set(shards)
        for shard, group in groupby(self.tasks(), lambda task: task.number // self.size):
            if shard in wanted:
                yield shard, list(group)

    def write(self, shard: int, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write a shard, completely or not at all.

        Args:
            shard: which one.
            entries: its answers in the order of the tasks; an image that cannot be read has one, with ``error``.

        Raises:
            FileError: it cannot be written.
        """
        make_subfolder(self.folder, _SHARDS)
        write_atomically(b''.join(map(_line, entries)), self.path(shard))

    def missing(self) -> list[int]:
        """The shards that nobody has written yet."""
        return [shard for shard in range(len(self)) if not self.path(shard).exists()]

    def merge(self) -> Merged:
        """Make one file of all shards, and another of what could not be read; several processes may do it.

        Raises:
            InputError: a shard lacks an answer, or has one twice or one that nobody asked for.
            FileError: a file cannot be written.
        """
        images = answers = unreadable = 0
        with open_atomically(self.folder / PREDICTIONS) as good, open_atomically(self.folder / UNREADABLE) as bad:
            for shard, tasks in self.tasks_of(range(len(self))):
                for entries in self._checked(shard, tasks):
                    failed = 'error' in entries[0]
                    _write_all(bad if failed else good, entries)
                    unreadable += failed
                    images += not failed
                    answers += 0 if failed else len(entries)
        return Merged(images, answers, unreadable)

    def answers(self) -> Iterator[dict[str, Any]]:
        """Read the merged answers from their file, one by one."""
        for number, line in iterate_lines(self.folder / PREDICTIONS):
            yield decode_line(line, f'{self.folder / PREDICTIONS}, line {number}')

    def _checked(self, shard: int, tasks: list[Task]) -> Iterator[list[dict[str, Any]]]:
        """The entries of each task: exactly one per expression, or one that says why there is none."""
        path = self.path(shard)
        entries = [decode_line(line, f'{path}, line {number}') for number, line in iterate_lines(path)]
        start = 0
        for task in tasks:
            failed = start < len(entries) and 'error' in entries[start]
            expected = [task.names()] if failed else [
                {**task.names(), 'expression': text} for text in task.expressions]
            found = entries[start:start + len(expected)]
            start += len(expected)
            if [{key: entry.get(key) for key in names} for names, entry in zip(expected, found, strict=False)
                    ] != expected or not (failed or all(map(_is_answer, found))):
                raise self._damaged(path, f'its answers about image {task.number} ({task.image}) are not those that '
                                          'were asked for')
            yield found
        if start != len(entries):
            raise self._damaged(path, f'it holds {len(entries)} answers where {start} were asked for')

    def _damaged(self, path: Path, what: str) -> InputError:
        return InputError(f'{path}: {what}. Remove this file and run the command again with --resume')

    def _agree(self, plan: Mapping[str, Any]) -> None:
        """Write the plan; of all processes that share a folder, and all that go on later, it must be the same."""
        path = self.folder / _PLAN
        with locked_file(self.folder / '.plan.lock', f'{path} is being written', wait=True):
            if not path.exists():
                refuse_foreign_files(self.folder, _WRITTEN)
                write_json(plan, path)
                return
        other = read_json(path, mend='Name another folder.')
        differing = [key for key in plan if not isinstance(other, dict) or other.get(key) != plan[key]]
        if differing:
            raise InputError(f'{self.folder} holds answers to something else: {", ".join(differing)} differ from its '
                             f'{_PLAN}. Name another folder, or ask the same with the same model')


def _is_answer(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get('segmentation'), dict) and type(entry.get('score')) in (int, float)


def _line(entry: Mapping[str, Any]) -> bytes:
    # Half a character, as of a file's name that is not in UTF-8, becomes its escape, and is read as what it was.
    return json.dumps(entry, ensure_ascii=False).encode('utf-8', 'backslashreplace') + b'\n'


def _write_all(file: BinaryIO, entries: Iterable[Mapping[str, Any]]) -> None:
    file.writelines(map(_line, entries))
