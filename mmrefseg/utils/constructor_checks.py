"""Constructors that refuse settings of a wrong name or type, in one message."""
from __future__ import annotations

import inspect
import reprlib
from difflib import get_close_matches
from functools import cache, wraps
from typing import Any, NamedTuple, get_type_hints

from mmrefseg.errors import InputError, InputTypeError

from .type_hints import MISFIT, fit, in_words


class ConstructorSettings(NamedTuple):
    """Which settings a constructor takes, and of which types.

    Args:
        parameters: the settings by name, those that ``**kwargs`` pass on included.
        hints: type hints of those that have one.
        types: the same without the ranges in them.
        open: whether it takes settings of any name.
    """

    parameters: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    types: dict[str, Any]
    open: bool


@cache
def settings_of(kind: type, owner: type | None = None) -> ConstructorSettings:
    """The settings of a class: those of its constructor and, as long as one takes ``**kwargs``, of the next in line.

    Args:
        kind: the class.
        owner: the class in its line of bases whose constructor is meant. Default None: the class.
    """
    line = kind.__mro__
    parameters: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    types: dict[str, Any] = {}
    is_open = False
    for base in line[line.index(owner or kind):]:
        construct = inspect.unwrap(vars(base).get('__init__', object.__init__))
        if construct is object.__init__:
            continue
        own = list(inspect.signature(construct).parameters.values())[1:]
        # What is nearer to the class goes before.
        hints = get_type_hints(construct, include_extras=True) | hints
        types = get_type_hints(construct) | types
        for parameter in own:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                parameters.setdefault(parameter.name, parameter)
        is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in own)
        if not is_open or vars(base).get('takes_any_setting'):
            break
    hints = {name: hint for name, hint in hints.items() if name in parameters}
    return ConstructorSettings(parameters, hints, types, is_open)


def check_constructor(kind: type) -> type:
    """Let a class check the names and types of its settings against its type hints when it is constructed.

    That holds for configs and for Python, and for sub-classes, whose constructor calls this one. Settings that reach
    ``**kwargs`` are those of the next constructor in line, and are checked as such; a class that hands them to
    something else says ``takes_any_setting = True``. What fits is handed on as
    :func:`~mmrefseg.utils.type_hints.fit` gives it.

    Args:
        kind: the class; its ``__init__`` is replaced.

    Returns:
        The class.
    """
    construct = kind.__init__
    signature = inspect.signature(construct) if construct is not object.__init__ else inspect.Signature(
        [inspect.Parameter('self', inspect.Parameter.POSITIONAL_ONLY)])

    @wraps(construct)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        name, settings = type(self).__name__, settings_of(type(self), kind)
        bound = _bind(name, signature, settings, (self, *args), kwargs)
        passed_on = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
        given = bound.arguments
        for group in (given, given.get(passed_on, {})):
            for setting in group:
                if setting in settings.hints:
                    group[setting] = _fitted(name, setting, group[setting], settings)
        construct(*bound.args, **bound.kwargs)

    checked.__signature__ = signature
    kind.__init__ = checked
    return kind


def _bind(name: str, signature: inspect.Signature, settings: ConstructorSettings, args: tuple,
          kwargs: dict[str, Any]) -> inspect.BoundArguments:
    known = list(settings.parameters)
    unknown = [] if settings.open else [setting for setting in kwargs if setting not in known]
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        if not unknown:
            raise InputTypeError(f'{name}: {error}; its settings are {", ".join(known) or "none"}') from error
    if unknown:
        similar = get_close_matches(unknown[0], known)
        raise InputTypeError(f'{name} has no setting {unknown[0]!r}'
                             + (f'; did you mean {similar[0]!r}? ' if similar else '. ')
                             + f'Its settings are {", ".join(known) or "none"}')
    return bound


def _fitted(name: str, setting: str, value: Any, settings: ConstructorSettings) -> Any:
    hint = settings.hints[setting]
    fitted = fit(value, hint)
    if fitted is not MISFIT:
        return fitted
    # Hints elsewhere often leave out the None that is the default.
    if value is None and settings.parameters[setting].default is None:
        return None
    kind = InputTypeError if fit(value, settings.types[setting]) is MISFIT else InputError
    raise kind(f'{setting} of {name} is {reprlib.repr(value)}; it must be {in_words(hint)}')
