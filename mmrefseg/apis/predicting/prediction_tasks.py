"""What is asked: images from folders, lists and JSON Lines, with their expressions, always in the same order."""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmrefseg.datasets.json_line_format import decode_line, iterate_lines
from mmrefseg.errors import InputError, InputTypeError
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import JSON_ENCODING
from mmrefseg.utils.web_addresses import is_url

from ..inference.expressions_per_image import check_expressions
from ..inference.image_sources import sources_of

LINES = ('.jsonl', '.ndjson')
LISTS = ('.txt', '.lst')


class Task(NamedTuple):
    """An image and what is asked of it.

    Args:
        number: counted over all inputs, from 0.
        image: path or address.
        file_name: the name as it was given, by which an evaluation finds it.
        expressions: at least one.
        sent_ids: an id per expression; empty where there are none.
        public_only: whether the image may come from the internet alone, as a file, which others may have written, names
            its address. Default False.
    """

    number: int
    image: str
    file_name: str
    expressions: list[str]
    sent_ids: list[int | str]
    public_only: bool = False

    def names(self) -> dict[str, Any]:
        """What an answer says of its image."""
        return dict(index=self.number, image=self.image, file_name=self.file_name)


def read_expressions(values: Sequence[str]) -> list[str]:
    """Expressions of a command line.

    Args:
        values: each a text, or the path of a file with an expression per line.

    Raises:
        InputError: a file isn't in UTF-8 or holds none, or an expression is blank or endless.
    """
    texts: list[str] = []
    for value in values:
        texts += _lines_of_text(value) if os.path.isfile(value) else [value]
    return check_expressions(texts) if values else []


def read_tasks(inputs: Sequence[str], expressions: Sequence[str], images: str | None = None,
               trust_lists: bool = False) -> Iterator[Task]:
    """All that is asked, one after the other.

    Args:
        inputs: images, addresses, folders, patterns; lists of images (``.txt``, a name per line); JSON Lines
            (``.jsonl``) of ``image`` with ``expression`` or ``expressions``, and ``sent_ids`` where they are known.
        expressions: asked of each image that brings none.
        images: folder that names in lists and JSON Lines are relative to. Default None, the list's own.
        trust_lists: whether addresses in lists and JSON Lines may lead into private networks, as those in ``inputs``
            may. Default False.

    Raises:
        MissingInputError: a list is missing.
        InputError: an input holds no image, a line is damaged, or an image has no expression.
    """
    number = 0
    for given in inputs:
        before, public_only = number, not trust_lists and not is_url(given)
        for image, name, texts, sent_ids in _read(given, images):
            texts = texts or list(expressions)
            if not texts:
                raise InputError(f'{given}: nothing is asked of {name[:200]!r}. Say what to look for with '
                                 '--expressions')
            yield Task(number, image, name, texts, sent_ids, public_only and is_url(image))
            number += 1
        if number == before:
            raise InputError(f'{given} names no image')


def _read(given: str, images: str | None) -> Iterator[tuple[str, str, list[str], list[int | str]]]:
    """Path, name, expressions and their ids of each image of an input."""
    suffix = Path(given).suffix.lower()
    folder = str(Path(given).parent) if images is None else images
    if is_url(given) or os.path.isdir(given) or suffix not in LINES + LISTS:
        root = given if os.path.isdir(given) else os.path.dirname(given)
        for source in sources_of(given):
            path = str(source.path)
            yield path, path if is_url(path) else os.path.relpath(path, root or '.'), [], []
    elif suffix in LISTS:
        for name in _lines_of_text(given):
            yield _located(name, folder), name, [], []
    else:
        for number, line in iterate_lines(Path(given)):
            where = f'{given}, line {number}'
            yield _of_line(decode_line(line, where), where, folder)


def _of_line(element: Mapping[str, Any], where: str, folder: str) -> tuple[str, str, list[str], list[int | str]]:
    name = get_field(element, 'image', str, where)
    if 'expression' in element and 'expressions' in element:
        raise InputError(f"{where}: write either 'expression' (a string) or 'expressions' (a list of strings)")
    texts: list[str] = []
    if 'expression' in element:
        texts = [get_field(element, 'expression', str, where)]
    elif 'expressions' in element:
        texts = get_field(element, 'expressions', list, where)
    try:
        texts = check_expressions(texts) if texts else []
    except (InputError, InputTypeError) as error:
        raise InputError(f'{where}: {error}') from error
    sent_ids = get_field(element, 'sent_ids', list, where) if 'sent_ids' in element else []
    if 'sent_id' in element:
        sent_ids = [get_field(element, 'sent_id', (int, str), where)]
    if sent_ids and len(sent_ids) != len(texts):
        raise InputError(f'{where}: it has {len(sent_ids)} ids of sentences and {len(texts)} expressions')
    return _located(name, folder), name, texts, sent_ids


def _located(name: str, folder: str) -> str:
    return name if is_url(name) else os.path.join(folder, name)


def _lines_of_text(path: str) -> list[str]:
    found = []
    for number, line in iterate_lines(Path(path)):
        try:
            found.append(line.decode(JSON_ENCODING).strip())
        except UnicodeDecodeError as error:
            raise InputError(f'{path}, line {number} is not in UTF-8 ({error}). Save the file as UTF-8') from error
    if not found:
        raise InputError(f'{path} is empty; expected was one per line')
    return found
