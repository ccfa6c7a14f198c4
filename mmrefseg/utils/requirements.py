"""Refusing versions of other packages that are known not to work."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from typing import NoReturn

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mmrefseg.errors import MissingPackageError

from .supported_versions import OPTIONAL, PURE_MMCV, STACKS, TIMM, TORCH


def _installed(module: str) -> dict[str, str]:
    """The distributions that bring a module of this name, with their versions; imports nothing."""
    names = {stack[module][0] for stack in STACKS.values()} | ({PURE_MMCV} if module == 'mmcv' else set())
    found = {}
    for name in sorted(names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if not found and find_spec(module):  # from a distribution of another name
        found = {name: version(name) for name in packages_distributions().get(module, ())}
    return found


def _fits(found: str, supported: str) -> bool:
    # The base version: vendors build from a pre-release with a suffix of their own.
    return Version(found).base_version in SpecifierSet(supported)


def _unmet(installed: dict[str, dict[str, str]], stack: dict[str, tuple[str, str, str]]) -> Iterator[str]:
    """What an environment lacks of one line of OpenMMLab's packages."""
    for module, (name, supported, _) in stack.items():
        found = installed[module]
        if not found and module not in OPTIONAL:
            yield f'{name} is not installed, needed is {supported}'
        for other, its_version in found.items():
            if module not in OPTIONAL and not _fits(its_version, supported):
                yield f'{other} {its_version} is installed, needed is {name} {supported}'


def find_problems() -> list[str]:
    """What is missing, unsupported or in each other's way of the packages mmrefseg stands on; imports none of them."""
    return [problem for problem in (_check_torch(), _check_timm(), *_openmmlab_problems()) if problem]


def _nearest_stack(installed: dict[str, dict[str, str]]) -> str:
    """The line of OpenMMLab's packages of which least is missing."""
    return min(STACKS, key=lambda name: len(list(_unmet(installed, STACKS[name]))))


def _openmmlab_packages() -> dict[str, dict[str, str]]:
    return {module: _installed(module) for module in STACKS['openmmlab']}


def _openmmlab_problems() -> list[str]:
    installed = _openmmlab_packages()
    problems = list(_unmet(installed, STACKS[_nearest_stack(installed)]))
    problems += [f'{" and ".join(found)} are both installed, and overwrite each other: pip uninstall -y '
                 f'{" ".join(found)}, then install one' for found in installed.values() if len(found) > 1]
    return problems


def _mend() -> str:
    """How to get what is missing."""
    stack = _nearest_stack(_openmmlab_packages())
    name, _, number = STACKS[stack]['mmcv']
    return ('Run `bash tools/install.sh` in a clone of mmrefseg: it installs a tested set. Without a compiler: '
            f'pip install "mmrefseg[{stack}]" {PURE_MMCV if stack == "openmmlab" else name}=={number}')


def _check_torch() -> str | None:
    """What is wrong with PyTorch, or None; warns of one that nobody tried."""
    oldest, newest = TORCH
    try:
        found = version('torch')
    except PackageNotFoundError:
        return f'torch is not installed, needed is >={oldest}'
    release = Version(found).release[:2]
    if release < Version(oldest).release:
        return f'torch {found} is installed, needed is >={oldest}'
    if release > Version(newest).release:
        warnings.warn(f'mmrefseg was not tried with PyTorch {found}, only with {oldest} to {newest}.', stacklevel=3)
    return None


def _check_timm() -> str | None:
    """What is wrong with timm, or None."""
    try:
        found = version('timm')
    except PackageNotFoundError:
        return f'timm is not installed, needed is {TIMM}'
    return None if _fits(found, TIMM) else f'timm {found} is installed, needed is {TIMM}'


def check_importable(config: object) -> None:
    """Make sure that mmpretrain can be imported if a config names one of its models; mmengine would hide why it can't.

    Args:
        config: of a part; anything but a dict with a ``type`` that says ``mmpretrain.`` is left alone.

    Raises:
        MissingPackageError: mmpretrain is missing, or fails to be imported, as it does beside transformers 5.
    """
    kind = config.get('type') if isinstance(config, dict) else None
    if not (isinstance(kind, str) and kind.startswith('mmpretrain.')):
        return
    try:
        import_module('mmpretrain.models')
    except (ImportError, AttributeError, TypeError) as error:  # the last from OneDL's release beside transformers 5
        mend = 'pip install mmpretrain'
        with suppress(PackageNotFoundError):
            mend = (f'transformers {version("transformers")} is installed, and mmpretrain needs one below 5, or none: '
                    'pip install "transformers<5", or uninstall it')
        raise MissingPackageError(
            f'{kind} is a model of mmpretrain, which cannot be imported here ({error}). {mend}') from error


def check_requirements() -> None:
    """Make sure that the packages mmrefseg stands on have versions it is known to work with; imports none of them.

    A PyTorch newer than any that was tried gives a warning.

    Raises:
        MissingPackageError: names every package that is missing or unsupported, what was expected, and the mend.
    """
    if problems := find_problems():
        raise MissingPackageError('mmrefseg cannot run here:\n' + ''.join(f'  - {problem}\n' for problem in problems) +
                                  _mend())


@cache
def why_not() -> str:
    """Why mmrefseg as a whole cannot run here, as :func:`check_requirements` says it; empty where it can.

    What needs PyTorch and NumPy alone works all the same: figures of arrays, drawing RefShapes, importing annotations.
    """
    try:
        check_requirements()
    except MissingPackageError as error:
        return str(error)
    return ''


def refuse(names: Sequence[str]) -> Callable[[str], NoReturn]:
    """A module's ``__getattr__`` where mmrefseg as a whole cannot run: says why some of its names are missing.

    Args:
        names: which.
    """

    def get(name: str) -> NoReturn:
        if name in names:
            raise MissingPackageError(why_not())
        raise AttributeError(name)

    return get
