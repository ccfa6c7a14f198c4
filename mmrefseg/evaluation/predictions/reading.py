"""Files of predictions: those of ``tools/test.py --out``, COCO's JSON, JSON Lines, and folders of PNG."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmrefseg.datasets.json_line_format import decode_line, iterate_lines
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.files import read_json
from mmrefseg.utils.safe_names import relative_name, split_name

from ..protocols import Protocol, resolve_protocol
from .prediction import Prediction, mask_file, read_entry

PROTOCOLS_KEY = 'protocols'
"""Key beside the splits of ``predictions.json`` and ``metrics.json``: name → rules of each protocol."""

_LISTS = ('predictions', 'results', 'annotations')
_LINES = ('.jsonl', '.ndjson')


class Predictions(NamedTuple):
    """What a file or folder holds.

    Args:
        path: where it is.
        splits: answers by split; those of which the file names no split under None.
        protocols: rules of the protocols that it says made its masks, by name.
    """

    path: str
    splits: dict[str | None, list[Prediction]]
    protocols: dict[str, Protocol]


def read_predictions(path: str | Path) -> Predictions:
    """Read predictions of any program.

    - An object in JSON with a list per split, and ``protocols`` beside them, as ``tools/test.py --out`` writes it;
    - a list in JSON, or an object with one under ``predictions``, ``results`` or ``annotations``, and JSON Lines
      (``.jsonl``); an entry may name its ``split``;
    - a folder of PNG named by sentence id, or one such folder per split in it.

    Args:
        path: the file or folder.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is damaged, an entry isn't as :func:`~.prediction.read_entry` has it, or a split has no name that
            files can be called after.
    """
    path = Path(path)
    if path.is_dir():
        return Predictions(str(path), _folder(path), {})
    if not path.exists():
        raise MissingInputError(f'{path} is missing; name a file of predictions, or a folder of PNG')
    if path.suffix.lower() in _LINES:
        entries = ((decode_line(line, f'{path}, line {number}'), f'{path}, line {number}')
                   for number, line in iterate_lines(path))
        return Predictions(str(path), _by_split(entries, path), {})
    content = read_json(path, mend='Write it again; files of one object per line must end in .jsonl.')
    if isinstance(content, dict):
        names = [name for name in _LISTS if isinstance(content.get(name), list)]
        if len(names) > 1:
            raise InputError(f'{path} holds {" and ".join(names)}, and nobody can tell which are the predictions. '
                             'Leave one')
        if not names:
            return _per_split(content, path)
        content = content[names[0]]
    if not isinstance(content, list):
        raise InputError(f'{path} must hold a list of predictions, or an object with a list per split')
    return Predictions(str(path), _by_split(_numbered(content, str(path)), path), {})


def _per_split(content: Mapping[str, Any], path: Path) -> Predictions:
    rules = content.get(PROTOCOLS_KEY, {})
    if not isinstance(rules, dict) or not all(isinstance(value, dict) for value in rules.values()):
        raise InputError(f'{path}: {PROTOCOLS_KEY!r} must be an object with the rules of each protocol')
    protocols = {name: resolve_protocol({**value, 'name': name}) for name, value in rules.items()}
    splits: dict[str | None, list[Prediction]] = {}
    for split, entries in content.items():
        if split == PROTOCOLS_KEY:
            continue
        split_name(split, f'{path}: a split')
        if not isinstance(entries, list):
            raise InputError(f'{path}: {split[:80]!r} must be a list of predictions, got an object of type '
                             f'{type(entries).__name__}')
        splits[split] = [read_entry(entry, where, str(path.parent))
                         for entry, where in _numbered(entries, f'{path}: {split}')]
    return Predictions(str(path), splits, protocols)


def _numbered(entries: Sequence[Any], where: str) -> Iterator[tuple[Any, str]]:
    return ((entry, f'{where}[{index}]') for index, entry in enumerate(entries))


def _by_split(entries: Iterator[tuple[Any, str]], path: Path) -> dict[str | None, list[Prediction]]:
    splits: dict[str | None, list[Prediction]] = {}
    for entry, where in entries:
        prediction = read_entry(entry, where, str(path.parent))
        split = entry.get('split')
        if not isinstance(split, str | None):
            raise InputError(f"{where}: 'split' must be a string")
        if split is not None:
            split_name(split, f"{where}: 'split'")
        splits.setdefault(split, []).append(prediction)
    return splits


def _folder(path: Path) -> dict[str | None, list[Prediction]]:
    folders: dict[str | None, Path] = {None: path}
    folders |= {child.name: child for child in sorted(path.iterdir()) if child.is_dir()}
    splits = {split: list(_pictures(folder, path)) for split, folder in folders.items()}
    splits = {split: found for split, found in splits.items() if found}
    for split in filter(None, splits):
        split_name(split, f'{path}: a folder')
    if not splits:
        raise InputError(f'{path} holds no PNG; expected was one per expression, named by sent_id, such as 17.png')
    return splits


def _pictures(folder: Path, top: Path) -> Iterator[Prediction]:
    """The masks in a folder of predictions, or in one folder below it; links that lead out are refused."""
    for name in sorted(os.listdir(folder)):
        if name.lower().endswith('.png') and not name.startswith('.'):
            where = f'{folder}/{name}'
            mask = mask_file(str(top), relative_name(str(folder.relative_to(top) / name), where), where)
            yield Prediction(where, {'sent_id': name[:-4]}, {None: mask}, None, {})
