"""Pages in HTML that need no other file and no network."""
from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import cv2
import numpy as np

CSS = '''body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:auto;padding:1rem;color:#1c1c1c}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(15rem,100%),1fr));gap:1rem}
figure{margin:0}img{width:100%;height:auto}li,figcaption{overflow-wrap:anywhere}.tables{overflow-x:auto}'''

# Whatever a text smuggled in, nothing is fetched and nothing is sent.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Markup(NamedTuple):
    """HTML that is whole and safe; everything else is shown as text.

    Args:
        html: the HTML.
    """

    html: str


Cell = str | int | Markup


def page(title: str, parts: Iterable[str], style: str = '', script: str = '') -> str:
    """A whole page in HTML.

    Args:
        title: what it is about, as text.
        parts: HTML below the title.
        style: rules behind those of all pages. Default ``''``.
        script: JavaScript at the end. Default ``''``.
    """
    return '\n'.join([
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<title>{escape(title)}</title><style>{CSS}{style}</style><h1>{escape(title)}</h1>',
        *parts, f'<script>{script}</script>' if script else '', '</html>\n'])


def text(value: Cell) -> str:
    """A value as HTML, in whatever direction its letters run.

    Args:
        value: shown as text, unless it is :class:`Markup`.
    """
    return value.html if isinstance(value, Markup) else f'<bdi>{escape(str(value))}</bdi>'


def html_table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table, which scrolls where it is wider than the page.

    Args:
        head: titles of the columns; none for a table without.
        rows: cells of each row.
    """
    titles = ''.join(f'<th>{escape(title)}' for title in head)
    return '\n'.join(['<div class="tables"><table>', f'<tr>{titles}</tr>' if head else '',
                      *(f'<tr>{"".join(f"<td>{text(cell)}" for cell in row)}</tr>' for row in rows), '</table></div>'])


def thumbnail(image: np.ndarray, quality: int = 80) -> str:
    """An ``img`` that holds its picture, as JPEG.

    Args:
        image: RGB uint8 (H, W, 3), as large as it shall be.
        quality: of the JPEG, 0 to 100. Default 80.
    """
    content = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    height, width = image.shape[:2]
    return (f'<img alt="" loading="lazy" width="{width}" height="{height}" '
            f'src="data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}">')
