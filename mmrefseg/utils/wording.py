"""Numbers in messages."""
from __future__ import annotations


def counted(number: int, what: str) -> str:
    """A number of things, such as ``'1 image'`` or ``'2 images'``.

    Args:
        number: how many.
        what: the thing, in the singular; its plural ends in -s.
    """
    return f'{number} {what}{"" if number == 1 else "s"}'
