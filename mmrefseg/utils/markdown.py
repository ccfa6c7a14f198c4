"""Text in Markdown."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown, a line per row.

    Args:
        head: titles of the columns.
        rows: as many values each.
    """
    return '\n'.join('| ' + ' | '.join(map(str, row)) + ' |' for row in (head, ('---', ) * len(head), *rows))
