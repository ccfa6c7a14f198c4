"""Which expressions are asked of which images."""
from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from pathlib import Path
from typing import NamedTuple

from mmrefseg.errors import InputError, InputTypeError
from mmrefseg.utils.expression_checks import check_expression

from .image_sources import Images, ImageSource, is_one_image, sources_of


class Asked(NamedTuple):
    """An image and what is asked of it.

    Args:
        source: the image.
        expressions: at least one.
    """

    source: ImageSource
    expressions: list[str]


def check_expressions(expressions: str | Sequence[str]) -> list[str]:
    """Expressions as a list, each fit to be asked.

    Args:
        expressions: one, or several.

    Raises:
        InputTypeError: one is no string.
        InputError: there are none, or one is blank or endless.
    """
    try:
        texts = [expressions] if isinstance(expressions, str) else list(expressions)
    except TypeError:
        raise InputTypeError(f'an expression must be a string, got {type(expressions).__name__}') from None
    if not texts:
        raise InputError('there are no expressions: say what to look for')
    for text in texts:
        if not isinstance(text, str):
            raise InputTypeError(f'an expression must be a string, got {type(text).__name__}')
        if not text.strip():
            raise InputError(f"the expression {text!r} is blank: say what to look for, such as 'the left cup'")
        check_expression(text, 'a question')
    return texts


def asked_of(images: Images, expressions: str | Sequence[str | Sequence[str]]) -> Iterator[Asked]:
    """Bring images and expressions together.

    One expression goes with every image, which are then read one by one; one image goes with every expression; as many
    of one as of the other go in pairs.

    Args:
        images: as :func:`~.sources.sources_of` takes them.
        expressions: what to look for.

    Raises:
        InputTypeError: an expression is no string.
        InputError: an expression is blank, or the numbers don't go together.
    """
    if isinstance(expressions, str) or not isinstance(expressions, Sequence):
        texts = check_expressions(expressions)
        if isinstance(images, list | tuple) and not images:
            raise _do_not_fit(0, 1)
        return (Asked(source, texts) for source in sources_of(images))
    sources, groups = list(sources_of(images)), list(map(check_expressions, expressions))
    number = max(len(sources), len(groups))
    if not sources or not groups or {len(sources), len(groups)} - {1, number}:
        raise _do_not_fit(len(sources), len(groups))
    if len(sources) == 1:
        return iter([Asked(sources[0], [text for group in groups for text in group])])
    return (Asked(source, groups[i % len(groups)]) for i, source in enumerate(sources))


def _do_not_fit(num_images: int, num_expressions: int) -> InputError:
    return InputError(f'{num_images} images and {num_expressions} expressions do not go together: give as many of one '
                      'as of the other, or a single image, or a single expression.')


def count_images(images: Images) -> int | None:
    """How many images there are; None where that isn't known without reading them.

    Args:
        images: as :func:`~.sources.sources_of` takes them.
    """
    if isinstance(images, str | Path):
        return len(list(sources_of(images)))
    if is_one_image(images):
        return 1
    return len(images) if isinstance(images, Sized) else None
