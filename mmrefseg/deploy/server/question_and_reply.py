"""What goes between the server and the processes that answer: a question there, a reply back."""
from __future__ import annotations

from typing import Any, NamedTuple

INCLUDED = ('rle', 'polygons', 'png', 'levels', 'routing')
"""What an answer may bring along."""


class Question(NamedTuple):
    """An image and what is asked of it.

    Args:
        image: the image's file.
        expressions: at least one.
        threshold: probability that a pixel of a mask exceeds. Default None, the model's.
        include: what answers bring along, of ``INCLUDED``. Default ``('rle', )``.
    """

    image: bytes
    expressions: list[str]
    threshold: float | None = None
    include: tuple[str, ...] = ('rle', )


class Reply(NamedTuple):
    """What became of a question.

    Args:
        content: the answer, as JSON can hold it. Default None.
        refused: what the user can mend, such as a damaged image. Default None.
        broken: whether the model failed. Default False.
    """

    content: dict[str, Any] | None = None
    refused: str | None = None
    broken: bool = False
