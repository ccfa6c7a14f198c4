"""Docstrings are of one dialect, and explain every argument of what is public."""
import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator

import pytest
from torch import nn

import mmrefseg

MODULES = [found.name for found in pkgutil.walk_packages(mmrefseg.__path__, 'mmrefseg.') if '__' not in found.name]
ENTRY = re.compile(r'^    ((?:\*{0,2}\w+(?:, )?)+)( \(.*?\))?: \S', re.MULTILINE)

DEFAULT = re.compile(r'Default (?:``)?(\(.*?\)|None|True|False|-?\d+(?:\.\d+)?|\'.*?\')(?:``)?(?=[\s.,:;]|$)')


def section(docstring: str, title: str) -> str:
    """The indented lines below a title; '' without it."""
    found = re.search(rf'^{title}:\n((?: .*\n|\n)+)', docstring + '\n', re.MULTILINE)
    return found[1] if found else ''


def is_inherited(owner: type, name: str) -> bool:
    """Whether a base class has the method too, which then says what its arguments are; ``nn.Module`` says nothing."""
    found = (getattr(base, name, None) for base in owner.__mro__[1:-1])
    return any(method not in (None, nn.Module.forward) for method in found)


def public(module: object) -> Iterator[tuple[str, Callable]]:
    """Classes, functions and new methods that others may use, by their names."""
    for name, thing in vars(module).items():
        if name.startswith('_') or getattr(thing, '__module__', None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield name, thing
            yield from ((f'{name}.{key}', getattr(thing, key)) for key, value in vars(thing).items()
                        if (not key.startswith('_') or key == '__call__') and not is_inherited(thing, key)
                        and (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)))
        elif inspect.isfunction(thing):
            yield name, thing


def arguments(thing: Callable) -> set[str]:
    """What is given to a function, or to make an object of a class that says how it is made."""
    if not inspect.isclass(thing):
        return set(inspect.signature(inspect.unwrap(thing)).parameters) - {'self'}
    if hasattr(thing, '_fields'):
        return set(thing._fields)
    return set(inspect.signature(thing.__init__).parameters) - {'self'} if '__init__' in vars(thing) else set()


def defaults(thing: Callable, args: str) -> list[str]:
    """Arguments whose default is not told, or told wrongly where it is a plain value."""
    wrong = []
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing).parameters
    for entry in re.split(r'^    (?=\S)', args, flags=re.MULTILINE):
        parameter, text = signature.get(entry.partition(':')[0]), ' '.join(entry.split())
        if parameter is None or parameter.default is inspect.Parameter.empty:
            continue
        told = DEFAULT.search(text)
        if 'Default' not in text or (told and ast.literal_eval(told[1]) != parameter.default):
            wrong.append(parameter.name)
    return wrong


def faults(name: str, thing: Callable) -> list[str]:
    """What is wrong with a docstring."""
    docstring = inspect.cleandoc(thing.__doc__ or '')
    if not docstring:
        return [f'{name} has no docstring']
    entries = ENTRY.findall(section(docstring, 'Args'))
    missing = arguments(thing) - {argument.strip('* ') for names, _ in entries for argument in names.split(',')}
    found = [f'{name} does not explain {", ".join(sorted(missing))}'] if missing else []
    if any(kind for _, kind in entries):
        found.append(f'{name} tells types, which belong in the hints')
    if re.search(r'\bDefault(s to\b|:)', ' '.join(docstring.split())):
        found.append(f'{name} must say "Default x."')
    wrong = defaults(thing, section(docstring, 'Args'))
    if wrong:
        found.append(f'{name} tells another default, or none, of {", ".join(wrong)}')
    return found


@pytest.mark.parametrize('name', MODULES)
def test_one_dialect(name):
    assert not [fault for what in public(importlib.import_module(name)) for fault in faults(*what)]


def test_faults_are_seen():
    def wrong(size: int, *masks: int, area: float = 1.0) -> None:
        """Wrong.

        Args:
            size (int): side.
            masks, other: more. Default: none.
        """

    def other(side: float = 0.5, name: str = 'a', kind: str = 'b') -> None:
        """Wrong.

        Args:
            side: default is another. Default 0.25.
            name: right. Default ``'a'``.
            kind: not told.
        """

    def empty() -> None:
        pass

    assert faults('f', wrong) == ['f does not explain area', 'f tells types, which belong in the hints',
                                  'f must say "Default x."']
    assert faults('f', other) == ['f tells another default, or none, of side, kind']
    assert faults('f', empty) == ['f has no docstring']
