"""Letters for words of any language, from the fonts that are there."""
from __future__ import annotations

from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

# DejaVu comes with matplotlib and holds Latin, Greek, Cyrillic, Arabic and Hebrew; the others are taken if installed.
_FAMILIES = ('DejaVu Sans', 'Noto Sans CJK SC', 'Noto Sans CJK JP', 'WenQuanYi Zen Hei', 'Noto Sans', 'Noto Emoji',
             'Droid Sans Fallback', 'Unifont', 'Arial Unicode MS', 'Segoe UI', 'PingFang SC', 'Microsoft YaHei')


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The font that has most of a text's letters; those that it lacks become boxes.

    Args:
        text: what to write.
        size: height of the letters in pixels.
    """
    letters = {ord(letter) for letter in text if not letter.isspace()}
    return ImageFont.truetype(max(_fonts(), key=lambda path: len(letters & _letters(path))), size)


@lru_cache
def _fonts() -> list[str]:
    return [font_manager.findfont(family, fallback_to_default=False) for family in _FAMILIES
            if family in set(font_manager.get_font_names())]


@lru_cache
def _letters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())
