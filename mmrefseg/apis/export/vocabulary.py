"""What the stand-alone tokenizer reads: CLIP's vocabulary, and the tables of the libraries that it does without."""
from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable
from typing import Any

import ftfy
import regex
from ftfy import chardata, fixes
from torch import nn

from mmrefseg.errors import InputError
from mmrefseg.models.text_encoders import OpenCLIPTextEncoder

_CHARACTERS = ''.join(chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000)
_FIXES = (fixes.fix_c1_controls, fixes.fix_latin_ligatures, fixes.fix_character_width, fixes.uncurl_quotes)


def vocabulary_of(text_encoder: nn.Module) -> dict[str, Any]:
    """The content of ``tokenizer.json``: all that the stand-alone tokenizer reads.

    Args:
        text_encoder: an :class:`OpenCLIPTextEncoder`.

    Raises:
        InputError: it is another one, whose tokens the stand-alone tokenizer doesn't make.
    """
    if not isinstance(text_encoder, OpenCLIPTextEncoder) or not hasattr(text_encoder.tokenizer, 'bpe_ranks'):
        raise InputError(f'text_encoder is {type(text_encoder).__name__}; only the tokens of OpenCLIPTextEncoder with '
                         "CLIP's own tokenizer can be made without its own code")
    tokenizer = text_encoder.tokenizer
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    return dict(
        merges=[' '.join(pair) for pair in merges],
        special=['<start_of_text>', '<end_of_text>'],
        pad=int(text_encoder.tower.pad_id),
        endings=["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"],
        letters=_as_class(r'[\p{L}]'),
        numbers=_as_class(r'[\p{N}]'),
        others=_as_class(r'[^\s\p{L}\p{N}]'),
        replace=_changed(_fixed),
        remove=''.join(_changed(fixes.remove_control_chars)),
        entities={escape: character for escape, character in chardata.HTML_ENTITIES.items()
                  if escape.removeprefix('&') not in html.entities.html5},
        made_with=f'ftfy {ftfy.__version__}, regex {regex.__version__}')


def _fixed(character: str) -> str:
    for fix in _FIXES:
        character = fix(character)
    return character


def _changed(fix: Callable[[str], str]) -> dict[str, str]:
    """The characters that a fix changes, and into what; looked for in blocks, as few are."""
    blocks = (_CHARACTERS[start:start + 256] for start in range(0, len(_CHARACTERS), 256))
    return {character: fix(character) for block in blocks if fix(block) != block
            for character in block if fix(character) != character}


def _as_class(pattern: str) -> str:
    """The characters that a pattern of ``regex`` matches, as ranges inside the brackets of one of ``re``."""
    # Without regard to case, which makes a letter of U+0345.
    runs = (match[0] for match in regex.finditer(f'{pattern}+', _CHARACTERS, regex.IGNORECASE))
    return ''.join(re.escape(run[0]) + (f'-{re.escape(run[-1])}' if len(run) > 1 else '') for run in runs)
