"""Text for people: numbers in messages, tables in Markdown."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def counted(number: int, what: str) -> str:
    """A number of things, such as ``'1 image'`` or ``'2 images'``.

    Args:
        number: how many.
        what: the thing, in the singular; its plural ends in -s.
    """
    return f'{number} {what}{"" if number == 1 else "s"}'


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown, a line per row.

    Args:
        head: titles of the columns.
        rows: as many values each.
    """
    return '\n'.join('| ' + ' | '.join(map(str, row)) + ' |' for row in (head, ('---', ) * len(head), *rows))
