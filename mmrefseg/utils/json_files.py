"""Reading of JSON files that anybody may have written."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError

from .regular_files import MAX_JSON_BYTES, read_regular

JSON_ENCODING = 'utf-8-sig'
"""UTF-8, with the byte order mark that some editors write, or without."""


def read_json(path: str | Path, object_hook: Callable[[dict], Any] | None = None, mend: str = 'Get it again.') -> Any:
    """What a JSON file holds.

    Args:
        path: path of the file.
        object_hook: as :func:`json.loads` takes it. Default None.
        mend: what to do with a damaged file, for errors. Default ``'Get it again.'``.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is no whole JSON file.
        FileError: it cannot be read.
    """
    content = read_regular(path, MAX_JSON_BYTES)
    try:
        text = content.decode(JSON_ENCODING)
        del content  # may be half a gigabyte
        return json.loads(text, object_hook=object_hook)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path} is not a whole JSON file ({error}). {mend}') from error
