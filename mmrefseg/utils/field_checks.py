"""Reading of fields from files that may hold anything."""
from __future__ import annotations

from math import isfinite
from sys import float_info
from typing import Any

from mmrefseg.errors import InputError


def is_int64(value: Any) -> bool:
    """Whether a value is a whole number of 64 bits, as NumPy and PyTorch take it.

    Args:
        value: anything that a file may hold.
    """
    return isinstance(value, int) and -2**63 <= value < 2**63


def key_of(value: int | str) -> str:
    """An id of a file as a key of a dictionary or set.

    Whole numbers can be chosen so that they all meet in the same places of a dictionary: 400,000 of them, 12 MB, would
    take minutes. Of text nobody can, for its hashes are others in each process.

    Args:
        value: the id; 1 and '1' are different ones.
    """
    return repr(value)


def get_field(element: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Take a field out of an element of a file and check its type; a whole number must be one of 64 bits.

    Values are not shown in errors: a hostile one may be endless.

    Args:
        element: what should be a dictionary.
        key: name of the field.
        kind: what the value must be. A truth value is no ``int`` here.
        where: file and path of the element, for errors.

    Returns:
        The value.

    Raises:
        InputError: the element is no dictionary, or the field is missing or of another type.
    """
    if not isinstance(element, dict):
        raise InputError(f'{where}: expected a dictionary, got an object of type {type(element).__name__}.')
    value = element.get(key)
    if type(value) is kind and (kind is not int or is_int64(value)):  # of millions of fields told at once
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise InputError(f'{where}: {key!r} must be of type {" or ".join(k.__name__ for k in kinds)}, '
                         + (f'got {type(value).__name__}.' if key in element else 'but is missing.'))
    if isinstance(value, int) and float not in kinds and not is_int64(value):
        raise InputError(f'{where}: {key!r} must be a whole number of 64 bits.')
    return value


def _is_finite(number: float) -> bool:
    return abs(number) <= float_info.max


def check_numbers(numbers: Any, where: str, expected: str) -> None:
    """Check a list of numbers.

    Args:
        numbers: what should be a list of finite numbers.
        where: file and path of the list, for errors.
        expected: what such a list means, for errors.

    Raises:
        InputError: it is no list, or one of its elements is no finite number; names the element.
    """
    if not isinstance(numbers, list):
        raise InputError(f'{where} must be {expected}, got an object of type {type(numbers).__name__}')
    try:
        if set(map(type, numbers)) <= {int, float} and all(map(isfinite, numbers)):
            return
    except OverflowError:  # an endless whole number
        pass
    index = next(index for index, number in enumerate(numbers)
                 if type(number) not in (int, float) or not _is_finite(number))
    raise InputError(f'{where}[{index}] must be a finite number')


def check_outline(outline: list | dict, where: str) -> None:
    """Check that an outline of COCO's has the shape it should; drawing it tells whether it is good.

    Args:
        outline: polygons, RLEs, or one RLE.
        where: file and path of the outline, for errors.

    Raises:
        InputError: it has another shape, or holds what is no finite number; names the element.
    """
    if isinstance(outline, list):
        for index, part in enumerate(outline):
            if isinstance(part, dict):
                check_outline(part, f'{where}[{index}]')
            else:
                check_numbers(part, f'{where}[{index}]', 'a flat list of x, y pairs, or an RLE')
        return
    check_numbers(outline.get('size'), f'{where}.size', '[height, width]')
    if not isinstance(outline.get('counts'), str):
        check_numbers(outline.get('counts'), f'{where}.counts', "a list of run lengths or COCO's compressed string")
