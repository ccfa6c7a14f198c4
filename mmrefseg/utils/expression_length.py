"""How long a referring expression may be."""
from __future__ import annotations

from mmrefseg.errors import InputError

LONGEST_EXPRESSION = 4096
"""Characters; CLIP reads 77 tokens. Cleaning takes time that grows with the square: 64,000 characters of nested HTML
take 13 seconds, as many as this 0.05."""


def check_length(text: str, where: str) -> None:
    """Refuse an endless expression, before anything is done with it.

    Args:
        text: the expression.
        where: where it is from, for errors.

    Raises:
        InputError: it has more than ``LONGEST_EXPRESSION`` characters.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise InputError(f'{where}: the expression has {len(text)} characters, more than {LONGEST_EXPRESSION}. Shorten '
                         f'it; it begins {text[:80]!r}')
