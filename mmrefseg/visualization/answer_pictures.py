"""A picture of what a model answered."""
from __future__ import annotations

import base64
from collections.abc import Iterable
from io import BytesIO
from math import ceil, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from mmrefseg.errors import InputError
from mmrefseg.utils.files import write_atomically

from .figure_style import INK, check_picture, wrap
from .fonts import font_for
from .mask_overlays import outline_mask, shrink

# In pixels.
_NARROWEST, _WIDEST, _MOST = 630, 1440, 60_000_000
_GAP, _CAPTION, _FONT, _LETTER = 18, 70, 21, 11


class Panel(NamedTuple):
    """A mask on an image, and the words above it.

    Args:
        image: RGB uint8 (H, W, 3).
        mask: (H, W).
        caption: expression and score, for example; may be of any length.
    """

    image: np.ndarray
    mask: np.ndarray
    caption: str


def draw_answers(answers: Iterable[Panel], path: str | Path, number: int | None = None) -> None:
    """Draw a panel for each answer, up to three in a row.

    Args:
        answers: at least one; taken one after the other, so that large photos need not be there at once.
        path: the picture, such as ``answers.png``.
        number: how many there are. Default None, as many as ``answers`` holds.

    Raises:
        InputError: there are no answers, ``path`` doesn't end as a picture does, or a mask isn't of its image's size.
        FileError: the picture cannot be written.
    """
    check_picture(path)
    picture, content, suffix = compose_answers(answers, number), BytesIO(), Path(path).suffix.lower()
    kind = {'.jpg': 'JPEG', '.svg': 'PNG'}.get(suffix, suffix[1:].upper())
    picture.save(content, kind, **({'compress_level': 1} if kind == 'PNG' else {}))
    data = content.getvalue()
    write_atomically(_as_svg(data, picture.size) if suffix == '.svg' else data, path)


def compose_answers(answers: Iterable[Panel], number: int | None = None) -> Image.Image:
    """Compose the picture that :func:`draw_answers` writes, in memory.

    Args:
        answers: see there.
        number: see there. Default None.

    Raises:
        InputError: there are no answers, or a mask isn't of its image's size.
    """
    answers = answers if number is not None else list(answers)
    number = len(answers) if number is None else number
    if not number:
        raise InputError('there are no answers to draw')
    widest = max(int(min(_WIDEST, sqrt(_MOST / number))), _NARROWEST // 3)
    panels, captions = [], []
    for answer in answers:
        panels.append(_panel(answer.image, answer.mask, widest))
        captions.append(answer.caption)
    columns = min(len(panels), 3)
    width, height = (max(side) for side in zip(*((p.shape[1], p.shape[0]) for p in panels), strict=True))
    rows = ceil(len(panels) / columns)
    picture = Image.new('RGB', (_GAP + columns * (width + _GAP), rows * (_CAPTION + height) + _GAP), 'white')
    pen = ImageDraw.Draw(picture)
    for i, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        row, column = divmod(i, columns)
        left, top = _GAP + column * (width + _GAP), row * (_CAPTION + height) + _CAPTION
        picture.paste(Image.fromarray(panel), (left + (width - panel.shape[1]) // 2, top))
        write_caption(pen, caption, (left + width // 2, top - 8), width)
    return picture


def _panel(image: np.ndarray, mask: np.ndarray, widest: int) -> np.ndarray:
    """The image at its own resolution, within reason, with its mask."""
    height, width = image.shape[:2]
    new_width = min(max(width, _NARROWEST), widest)
    scale = min(new_width / width, 2 * new_width / height)
    return outline_mask(*shrink(image, mask, scale))


def write_caption(pen: ImageDraw.ImageDraw, caption: str, bottom: tuple[int, int], width: int, lines: int = 2,
                  size: int = _FONT) -> None:
    """Write some lines, centred; letters that are wider than most are made smaller.

    Args:
        pen: where to.
        caption: of any length.
        bottom: x and y in pixels of the middle of the lines' lower edge.
        width: room in pixels.
        lines: how many lines, at most. Default 2.
        size: height of the letters in pixels. Default 21.
    """
    text = wrap(caption, max(int(width / (_LETTER * size / _FONT)), 10), lines)
    font = font_for(text, size)
    box = pen.multiline_textbbox((0, 0), text, font)
    if box[2] - box[0] > width:
        font = font_for(text, max(int(size * width / (box[2] - box[0])), 6))
    pen.multiline_text(bottom, text, INK, font, anchor='md', align='center')


def _as_svg(png: bytes, size: tuple[int, int]) -> bytes:
    width, height = size
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"><image width="{width}" '
            f'height="{height}" href="data:image/png;base64,{base64.b64encode(png).decode()}"/></svg>').encode()
