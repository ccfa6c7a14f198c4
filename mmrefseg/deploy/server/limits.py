"""How much the server takes."""
from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """How much the server takes of one request, and how many requests at a time.

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
