"""Whether a value is what a type hint says, as configs write values: lists for tuples, whole numbers for any."""
from __future__ import annotations

import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import inf, isnan
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np
from torch import Tensor


class Range(NamedTuple):
    """The numbers that a hint ``Annotated[int, Range(1)]`` allows, both ends included.

    Args:
        least: the least. Default any.
        most: the largest. Default any that is finite.
    """

    least: float = -inf
    most: float = inf

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and abs(value) < inf

    def __str__(self) -> str:
        ends = [f'from {self.least:g}'] * (self.least > -inf) + [f'to {self.most:g}'] * (self.most < inf)
        return ' '.join(ends) or 'that is finite'


Count = Annotated[int, Range(1)]
"""A whole number from 1, such as a width."""
Share = Annotated[float, Range(0, 1)]
"""A number from 0 to 1, such as a probability."""
Finite = Annotated[float, Range()]
"""A number that isn't infinite, such as a loss's weight."""

MISFIT = object()
"""What :func:`fit` returns for a value of another type."""

_NUMBERS = {int: 'whole number', float: 'number'}
_WORDS = {bool: 'True or False', str: 'a string', types.NoneType: 'None', dict: 'a dict', Mapping: 'a dict',
          Callable: 'something to call', Any: 'anything'}


def fit(value: Any, hint: Any) -> Any:
    """Take a value as a type hint wants it.

    Whole numbers are numbers; True and False are none, and not-a-number isn't either; a string is no list. A list that
    stands for a tuple becomes one and the reverse, a path that stands for a string its name, and numbers and arrays of
    NumPy and PyTorch become Python's numbers and lists. The items of lists and dicts are looked at, too.

    Args:
        value: the value; is not changed.
        hint: a type hint without forward references, as ``typing.get_type_hints`` gives it.

    Returns:
        The value, or :data:`MISFIT`.
    """
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        fitted = fit(value, arguments[0])
        return fitted if fitted is not MISFIT and all(fitted in allowed for allowed in arguments[1:]) else MISFIT
    if origin in (Union, types.UnionType):
        fitting = [fitted for option in arguments if (fitted := fit(value, option)) is not MISFIT]
        # A path stays one where both it and a string may be.
        return next((fitted for fitted in fitting if fitted is value), fitting[0] if fitting else MISFIT)
    if origin is Literal:
        return value if any(type(value) is type(option) and value == option for option in arguments) else MISFIT
    if origin is Any:
        return value
    if origin is Callable:
        return value if callable(value) else MISFIT
    if not isinstance(origin, type):
        raise TypeError(f'settings cannot be checked against the type hint {hint!r}')
    if isinstance(value, np.generic | np.ndarray | Tensor) and not issubclass(origin, np.ndarray | Tensor):
        value = value.tolist()
    if origin in (int, float):
        return _number(value, origin)
    if origin is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple) and issubclass(origin, list | tuple):
        return _fit_items(value, origin, arguments)
    if not isinstance(value, origin) or (isinstance(value, str | bytes) and issubclass(origin, Iterable)
                                         and not issubclass(origin, str | bytes)):
        return MISFIT
    if arguments and isinstance(value, Sequence):
        return _fit_items(value, origin, arguments)
    if len(arguments) == 2 and isinstance(value, Mapping):
        fits = all(fit(part, option) is not MISFIT for item in value.items()
                   for part, option in zip(item, arguments, strict=True))
        return value if fits else MISFIT
    return value


def in_words(hint: Any) -> str:
    """A type hint in words, to stand behind 'it must be'.

    Args:
        hint: the hint.
    """
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return ' '.join(map(str, (in_words(arguments[0]), *arguments[1:])))
    if origin in (Union, types.UnionType):
        return ' or '.join(in_words(option) for option in arguments)
    if origin is Literal:
        return ' or '.join(map(repr, arguments))
    if origin in _NUMBERS:
        return f'a {_NUMBERS[origin]}'
    if origin in _WORDS:
        return _WORDS[origin]
    if origin is tuple and arguments[1:] and arguments[-1] is not Ellipsis:
        kinds = ' and '.join(in_words(option) for option in dict.fromkeys(arguments))
        return f'a list of {len(arguments)} items, each {kinds}' if len(set(arguments)) == 1 else f'a list of {kinds}'
    if isinstance(origin, type) and issubclass(origin, Collection) and not issubclass(origin, np.ndarray | Tensor):
        items = f' with {in_words(arguments[0])} each' if arguments and arguments[0] is not Any else ''
        return f'a list{items}'
    return f'a {getattr(origin, "__name__", origin)}'


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | kind) or (isinstance(value, float) and isnan(value)):
        return MISFIT
    return value


def _fit_items(values: Sequence, origin: type, arguments: tuple) -> Any:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        hints = arguments
    else:
        hints = (arguments[0] if arguments else Any, ) * len(values)
    if len(hints) != len(values):
        return MISFIT
    fitted = [fit(value, hint) for value, hint in zip(values, hints, strict=True)]
    if any(item is MISFIT for item in fitted):
        return MISFIT
    kind = origin if origin in (list, tuple) else tuple if isinstance(values, tuple) else list
    changed = any(new is not old for new, old in zip(fitted, values, strict=True))
    return kind(fitted) if changed or (kind is origin and not isinstance(values, kind)) else values
