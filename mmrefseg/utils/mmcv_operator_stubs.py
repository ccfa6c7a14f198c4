"""Doing without mmcv's compiled operators, of which nothing in mmrefseg needs any.

mmsegmentation 1.2.2 imports ``mmcv.ops`` wherever it is used, and that imports the compiled ``mmcv._ext`` at once.
Where it is missing, a module stands in for it whose operators can be imported, and say what to do when called.
"""
from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from mmrefseg.errors import MissingPackageError

MMCV_EXTENSION = 'mmcv._ext'
MEND = 'Run `bash tools/install.sh` in a clone of mmrefseg, which compiles them.'


class _StandIn(ModuleType):
    """Has every operator by name, and none to call."""

    def __init__(self, problem: str) -> None:
        super().__init__(MMCV_EXTENSION)
        self._problem = problem
        self.__spec__ = ModuleSpec(MMCV_EXTENSION, loader=None)  # without a loader it is not there where mmcv looks

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('__'):
            raise AttributeError(name)

        def refuse(*args: object, **kwargs: object) -> NoReturn:
            raise MissingPackageError(f"{name} is one of mmcv's compiled operators, and {self._problem}. {MEND}")

        return refuse

    # These two describe the build, and are asked for wherever an environment is logged.
    def get_compiler_version(self) -> str:
        return 'n/a'

    def get_compiling_cuda_version(self) -> str:
        return 'not available'


def _file_exists() -> bool:
    """Whether the extension's file is there; importing it would take seconds."""
    spec = find_spec('mmcv')
    return spec is not None and any(
        next(Path(folder).glob('_ext.*'), None) for folder in spec.submodule_search_locations or ())


def stand_in() -> None:
    """Let ``mmcv.ops`` be imported where its operators are missing, or were built for another PyTorch.

    Called before anything imports mmsegmentation. A file that is there but cannot be loaded gives a warning.
    """
    if sys.modules.get(MMCV_EXTENSION) is not None:
        return
    if not _file_exists():
        sys.modules[MMCV_EXTENSION] = _StandIn('they are not installed')
        return
    try:
        import_module(MMCV_EXTENSION)
    except ImportError as error:
        problem = f'they cannot be loaded, perhaps because they were built for another PyTorch ({error})'
        warnings.warn(f"mmcv's compiled operators are left out: {problem}. {MEND}", stacklevel=2)
        sys.modules[MMCV_EXTENSION] = _StandIn(problem)


@cache
def compiled() -> bool:
    """Whether mmcv's compiled operators can be called."""
    stand_in()
    return not isinstance(sys.modules[MMCV_EXTENSION], _StandIn)


@cache
def compiled_for_cuda() -> bool:
    """Whether mmcv's operators can be called on GPUs."""
    return compiled() and sys.modules[MMCV_EXTENSION].get_compiling_cuda_version() != 'not available'
