"""Imports that wait until they are needed, so that a command which needs little starts at once."""
from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from mmrefseg.errors import MissingPackageError

from .requirements import why_not


def import_on_demand(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``: what it imports under ``if TYPE_CHECKING`` waits until asked for.

    Args:
        package: the package's ``__name__``.

    Returns:
        Both. The first raises MissingPackageError where OpenMMLab's packages are what a name's module lacks.
    """
    spec = find_spec(package)
    source = ast.parse(spec.loader.get_source(package))
    block = next(node for node in source.body if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING')
    places = {alias.name: f'{package}.{node.module}' for node in block.body for alias in node.names}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        try:
            found = getattr(import_module(places[name]), name)
        except ImportError as error:
            if why_not():
                raise MissingPackageError(why_not()) from error
            raise
        setattr(sys.modules[package], name, found)
        return found

    return get, lambda: sorted({*vars(sys.modules[package]), *places})


def import_all(package: str) -> None:
    """Import all that a package offers.

    Args:
        package: whole name of a package, with an ``__all__``.
    """
    module = import_module(package)
    for name in module.__all__:
        getattr(module, name)


class _Watcher(MetaPathFinder):

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self._name, self._action = name, action

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec is not None:
            load = spec.loader.exec_module

            def load_and_act(module: ModuleType) -> None:
                load(module)
                self._action()

            spec.loader.exec_module = load_and_act
        return spec


def after_import(name: str, action: Callable[[], object]) -> None:
    """Do something as soon as a module has been imported, whoever does that: at once if it was before.

    Args:
        name: the module's whole name.
        action: what to do.
    """
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watcher(name, action))
