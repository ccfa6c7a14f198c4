"""Refusing settings that don't fit, when the part that has them is built."""
from __future__ import annotations

from collections.abc import Sequence

from mmrefseg.errors import InputError


def check_setting(setting: str, value: object, fits: bool, allowed: str) -> None:
    """Refuse a setting that doesn't fit.

    Args:
        setting: its name and the part that has it, such as ``out_indices of PlainViT``.
        value: what it is set to.
        fits: whether it may be.
        allowed: what it must be, to stand behind 'it must be'.

    Raises:
        InputError: it doesn't fit.
    """
    if not fits:
        raise InputError(f'{setting} is {value!r}; it must be {allowed}')


def is_whole(value: object, least: int) -> bool:
    """Whether a setting is a whole number that is large enough; True and False are none.

    Args:
        value: the setting's value.
        least: the smallest number allowed.
    """
    return type(value) is int and value >= least


def check_multiple(setting: str, value: int, divisor: int) -> None:
    """Refuse a width that is not a positive multiple of a number.

    Args:
        setting: its name, for the message.
        value: its value.
        divisor: the number.

    Raises:
        InputError: it is not.
    """
    check_setting(setting, value, is_whole(value, 1) and value % divisor == 0, f'a multiple of {divisor}')


def check_heads(setting: str, num_heads: int, channels: int) -> None:
    """Refuse a number of attention heads that does not divide the channels of the attention.

    Args:
        setting: its name, for the message.
        num_heads: its value.
        channels: channels of the attention.

    Raises:
        InputError: it does not.
    """
    check_setting(setting, num_heads, is_whole(num_heads, 1) and channels % num_heads == 0,
                  f'a whole number that divides the {channels} channels of the attention')


def choose_blocks(setting: str, indices: Sequence[int], num_blocks: int, from_end: bool = False) -> list[int]:
    """The 0-based blocks of a transformer that a setting names.

    Args:
        setting: its name and the part that has it.
        indices: the blocks.
        num_blocks: how many the transformer has.
        from_end: whether -1 means the last block, and so on. Default False.

    Raises:
        InputError: a block isn't there, or is named twice.
    """
    lowest = -num_blocks if from_end else 0
    known = isinstance(indices, Sequence) and all(is_whole(i, lowest) and i < num_blocks for i in indices)
    blocks = [i % num_blocks for i in indices] if known else []
    check_setting(setting, indices, known and len(set(blocks)) == len(blocks),
                  f'a list of blocks, 0 to {num_blocks - 1}'
                  + (f' or, from the end, -1 to -{num_blocks}' if from_end else '') + ', each at most once')
    return blocks


def check_size(what: str, height: int, width: int, divisor: int, reason: str) -> None:
    """Refuse a size of images that a backbone cannot take.

    Args:
        what: what has the size.
        height: in pixels.
        width: in pixels.
        divisor: what height and width must be multiples of.
        reason: what ``divisor`` is.

    Raises:
        InputError: they are not.
    """
    if height < 1 or width < 1 or height % divisor or width % divisor:
        nearest = ' × '.join(str(max(round(side / divisor), 1) * divisor) for side in (height, width))
        raise InputError(f'{what} is {height} × {width} pixels; height and width must be multiples of {divisor}, '
                         f'{reason}: {nearest} is the nearest')
