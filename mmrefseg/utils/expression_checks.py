"""What a referring expression may be: not endless, and whole characters."""
from __future__ import annotations

from mmrefseg.errors import InputError

LONGEST_EXPRESSION = 4096
"""Characters; CLIP reads 77 tokens. Cleaning takes time that grows with the square: 64,000 characters of nested HTML
take 13 seconds, as many as this 0.05."""


def check_expression(text: str, where: str) -> None:
    r"""Refuse an endless expression, or one with half a character, before anything is done with it.

    Args:
        text: the expression.
        where: where it is from, for errors.

    Raises:
        InputError: it has more than ``LONGEST_EXPRESSION`` characters, or a lone surrogate (``\ud800`` in JSON), which
            no file and no tokenizer takes.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise InputError(f'{where}: the expression has {len(text)} characters, more than {LONGEST_EXPRESSION}. Shorten '
                         f'it; it begins {text[:80]!r}')
    if any('\ud800' <= character <= '\udfff' for character in text):
        raise InputError(f'{where}: the expression has half a character (a lone surrogate), as broken emojis are. '
                         f'Write it anew; it is {text[:80]!a}')
