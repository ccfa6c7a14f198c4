"""Reading of JSON files that are one long list."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from mmrefseg.errors import InputError
from mmrefseg.utils.files import JSON_ENCODING, open_regular
from mmrefseg.utils.json_text import json_decoder

_PIECE = 1 << 20
_BLANKS = re.compile('[ \t\n\r]*')


def iterate_json_list(path: str | Path) -> Iterator[Any]:
    """The elements of the list that a JSON file is, one after the other: the whole never is in memory.

    Args:
        path: the file.

    Yields:
        An element.

    Raises:
        MissingInputError: there is no such file.
        InputError: the file isn't JSON, something else than one list, or an object has the same key twice.
    """
    with TextIOWrapper(open_regular(path), JSON_ENCODING) as file:
        try:
            yield from _elements(file)
        except (ValueError, IndexError, RecursionError) as error:
            raise InputError(f'{path} is not one whole list in JSON ({error}). Get the file again.') from error


def _elements(file: TextIO) -> Iterator[Any]:
    decode = json_decoder().raw_decode
    text = ' '
    while text.isspace():
        text = file.read(_PIECE)
    at = _BLANKS.match(text).end()  # of the bracket or comma before the next element
    if text[at:at + 1] != '[':
        raise InputError("it doesn't start with '['")
    while text[at] != ']':
        try:
            start = _BLANKS.match(text, at + 1).end()
            if text[at] == '[' and text[start] == ']':
                at = start
                break
            element, end = decode(text, start)
            after = _BLANKS.match(text, end).end()
            complete = text[after] in ',]'
        except (json.JSONDecodeError, IndexError):
            # Perhaps the element goes on behind what was read; an ever longer one is not read again for every piece.
            more = file.read(max(_PIECE, len(text) - at))
            if not more:
                raise
            text, at = text[at:] + more, 0
            continue
        if not complete:
            raise InputError(f'after an element stands {text[after]!r}')
        yield element
        at = after
    if (text[at + 1:] + file.read()).strip():
        raise InputError("something stands after the closing ']'")
