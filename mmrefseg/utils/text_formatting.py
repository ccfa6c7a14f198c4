"""Text for people: numbers in messages, tables on the terminal and in Markdown."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


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


def print_tables(*tables: Table, width: int = 120) -> None:
    """Print tables as wide as the terminal, but not narrower than a width, also where the output goes to a file.

    Args:
        tables: the tables.
        width: least number of characters in a line. Default 120.
    """
    console = Console(width=max(Console().width, width), markup=False, emoji=False)
    for table in tables:
        console.print(table)
