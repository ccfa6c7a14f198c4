"""Refusing versions of other packages that are known not to work."""
from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

REQUIREMENTS = {
    'torch': '>=2.11,<2.15',
    'mmengine': '>=0.10.7,<0.11',
    'mmcv': '>=2.1.0,<2.2.0',
    'mmsegmentation': '>=1.2.2,<2',
    'timm': '>=1.0.20,<2',
}
OPTIONAL = {'mmpretrain': '>=1.2.0,<2'}
MEND = 'Run `bash tools/install.sh` in a clone of mmrefseg: it installs a tested set.'


def _unmet(name: str, supported: str) -> str | None:
    """What is wrong with a distribution, or None."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return None if name in OPTIONAL else f'{name} is not installed, needed is {supported}'
    # The base version: vendors build PyTorch from a pre-release with a suffix of their own.
    if Version(found).base_version not in SpecifierSet(supported):
        return f'{name} {found} is installed, needed is {supported}'
    return None


def _has_operators() -> bool:
    """Whether mmcv's compiled operators are there; looks for the file, for importing it takes seconds."""
    spec = find_spec('mmcv')
    return spec is not None and any(
        next(Path(folder).glob('_ext.*'), None) for folder in spec.submodule_search_locations or ())


def check_requirements() -> None:
    """Make sure that the packages mmrefseg stands on have versions it is known to work with; imports none of them.

    Raises:
        ImportError: names every package that is missing or unsupported, what was expected, and the mend.
    """
    problems = [problem for name, supported in (REQUIREMENTS | OPTIONAL).items()
                if (problem := _unmet(name, supported))]
    if not problems and not _has_operators():
        problems = ['mmcv is installed without its compiled operators (as mmcv-lite is), needed are those too']
    if problems:
        raise ImportError('mmrefseg cannot run here:\n' + ''.join(f'  - {problem}\n' for problem in problems) +
                          MEND)
