"""Strings that try a tokenizer: other scripts, emojis, escapes, controls and odd spaces."""
from __future__ import annotations

import random
from collections.abc import Iterator

from ftfy import fix_text

WORDS = ('the red car', "it's the man's hat, isn't it?", 'WE’LL', 'don’t', '“left” one', 'ﬁrst oﬀer',
         'ＦＵＬＬ ｗｉｄｔｈ', 'café', 'naïve', 'Ünïcödé', 'straße', 'İstanbul', 'ǅ', 'красная машина', 'κόκκινο',
         '红色的汽车', '左の赤い車', '빨간 차', 'السيارة', 'हाथी', 'ไทย', '🚗', '🇩🇪',
         '\U0001f469\u200d\U0001f469\u200d\U0001f467',
         '½ cup', '²', 'x²³', '１２', '٣', 'Ⅷ', '１st', '3rd', '&amp;', '&amp;amp;', '&lt;b&gt;',
         '<b>bold</b>', '&EACUTE;', '&nbsp;', '&#x1F600;', '&notit;', '&amp', '&#0;', 'cafe\u0301', 'Å',
         '\x85', '\x93', '\x1b[31mred\x1b[0m',
         '\ufeff', '\u200b', '\u200d', '\xad', '\u3000', '\u2028', '\t', '\r\n', '\x00', '\x1c', '\u0345', "'ſ",
         "'S", '<start_of_text>', '<end_of_text>', '<|endoftext|>', '<END_OF_TEXT>', '...', '!!!', '--', '____',
         '#$%', '"', "'", "''s", "'re", 'aaaaaaaaaaaaaaaa', 'supercalifragilistic', '0123456789', 'ſ', 'K', 'ﬆ',
         '𞤀', 'CAFÉ»', '«École»', 'señor', 'DÉJÀ VU', 'Noël™', '©2024')
_RANGES = ((0x20, 0x7f), (0x80, 0x250), (0x250, 0x3000), (0x3000, 0xd800), (0xe000, 0x10000), (0x10000, 0x20000),
           (0x20000, 0x110000))


def tokenizer_check_strings(number: int, seed: int = 0) -> Iterator[str]:
    """Strings, always the same ones; none that ftfy takes for text in a broken encoding.

    It guesses what such text was by long lists of likely letters, which the stand-alone tokenizer does without.

    Args:
        number: how many.
        seed: others for another seed. Default 0.
    """
    rng = random.Random(seed)
    while number:
        text = ''.join(_piece(rng) for _ in range(rng.randint(1, 8)))
        if fix_text(text) == fix_text(text, fix_encoding=False):
            number -= 1
            yield text


def _piece(rng: random.Random) -> str:
    if rng.random() < 0.7:
        return rng.choice(WORDS) + rng.choice(('', ' ', ' ', '  ', '\n', '-'))
    return ''.join(chr(rng.randrange(*rng.choice(_RANGES))) for _ in range(rng.randint(1, 6)))
