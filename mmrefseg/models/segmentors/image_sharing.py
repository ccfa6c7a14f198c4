"""What doesn't see the text runs once per image, however many expressions ask about it.

A backbone or neck without ``takes_text`` is shared as a whole, whoever wrote it. The first part with ``takes_text`` may
offer two methods, which together do what its ``forward`` does:

- ``forward_image(x)`` takes what ``forward`` takes, but for the text, and gives what it can without it: a tensor or a
  tuple of tensors, whose first dimension counts images;
- ``forward_text(shared, text)`` takes that, its first dimension now counting expressions, and gives the tuple of maps.

Without them such a part runs per expression, and so does all behind it.
"""
from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ..layers import TextFeatures

Shared = Tensor | tuple
"""A tensor, or a tuple of tensors or further tuples; the first dimension counts images or expressions."""


def takes_text(part: nn.Module) -> bool:
    """Whether a part is called with the text.

    Args:
        part: backbone, neck or head, ours or a foreign one.
    """
    return getattr(part, 'takes_text', False)


def parts_in_row(part: nn.Module | None) -> Iterator[nn.Module]:
    """The parts of a backbone or neck that is several in a row; itself, if it is one.

    Args:
        part: backbone or neck; None, and there are none.
    """
    if isinstance(part, nn.Sequential):
        for step in part:
            yield from parts_in_row(step)
    elif part is not None:
        yield part


def run_without_text(parts: list[nn.Module], x: Tensor) -> Shared:
    """Run parts as far as they see no text.

    Args:
        parts: backbone and necks in their order.
        x: images (I, 3, H, W).

    Returns:
        What :func:`run_with_text` goes on with.
    """
    for part in parts:
        if takes_text(part):
            return part.forward_image(x) if hasattr(part, 'forward_image') else x
        x = part(x)
    return x


def run_with_text(parts: list[nn.Module], shared: Shared, text: TextFeatures) -> Shared:
    """Run the rest of :func:`run_without_text`.

    Args:
        parts: the same.
        shared: what that gave, one per expression; see :func:`per_expression`.
        text: features of the B expressions.

    Returns:
        The last part's maps (B, C, H, W).
    """
    first = next((i for i, part in enumerate(parts) if takes_text(part)), len(parts))
    x = shared
    for i, part in enumerate(parts[first:]):
        if i == 0 and hasattr(part, 'forward_image'):
            x = part.forward_text(x, text)
        else:
            x = part(x, text) if takes_text(part) else part(x)
    return x


def per_expression(shared: Shared, index: Tensor) -> Shared:
    """Give each expression what belongs to its image.

    Args:
        shared: of I images.
        index: int64 (B,), from 0 to I - 1, which image belongs to each expression.
    """
    return shared[index] if isinstance(shared, Tensor) else tuple(per_expression(part, index) for part in shared)
