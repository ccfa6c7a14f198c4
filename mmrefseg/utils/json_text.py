"""The one way in which JSON of others is decoded."""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from mmrefseg.errors import InputError


def json_decoder(object_hook: Callable[[dict], Any] | None = None, take_constants: bool = True) -> json.JSONDecoder:
    """A decoder that refuses an object with the same key twice: which value is meant, every reader guesses otherwise.

    Its errors, those of damaged text included, are ``ValueError``; endless nesting is a ``RecursionError``.

    Args:
        object_hook: as :func:`json.loads` takes it. Default None.
        take_constants: whether ``NaN`` and ``Infinity`` are numbers, which they are not in JSON. Default True.
    """
    def make(pairs: list[tuple[str, Any]]) -> Any:
        element = dict(pairs)
        if len(element) < len(pairs):
            twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise InputError(f'an object has the key {twice[:80]!r} twice: nobody can tell which value is meant')
        return element if object_hook is None else object_hook(element)

    return json.JSONDecoder(object_pairs_hook=make, parse_constant=None if take_constants else _refuse_constant)


def decode_json(text: str) -> Any:
    """What a text in JSON says; see :func:`json_decoder`.

    Args:
        text: the whole text.

    Raises:
        InputError: an object has the same key twice.
        ValueError: the text is not JSON.
        RecursionError: it is nested without end.
    """
    return _DECODER.decode(text)


def _refuse_constant(constant: str) -> NoReturn:
    raise InputError(f'{constant} is no number in JSON')


_DECODER = json_decoder()
