"""What goes between the server and the processes that answer."""
from __future__ import annotations

from typing import Any, NamedTuple

INCLUDED = ('rle', 'polygons', 'png', 'levels', 'routing')
"""What an answer may bring along."""


class Limits(NamedTuple):
    """What the server takes.

    Args:
        image_bytes: size of an image's file. Default 20 MiB.
        expressions: number of them in a request. Default 32.
        seconds: how long a request may take, and its body to arrive. Default 60.
        waiting: requests that are read, wait or are answered at a time. Default 64.
        held_bytes: of all their bodies, and of images that were fetched for them, together. Default 256 MiB.
    """

    image_bytes: int = 20 << 20
    expressions: int = 32
    seconds: float = 60.0
    waiting: int = 64
    held_bytes: int = 256 << 20

    @property
    def body_bytes(self) -> int:
        """Of a whole request: an image in base64, its expressions, and what frames them."""
        return self.image_bytes * 4 // 3 + (1 << 20)


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
