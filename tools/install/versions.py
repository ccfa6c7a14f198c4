"""`mmrefseg/utils/supported_versions.py`, read by its path: mmrefseg is not installed yet, and may not import here.

As a program it answers `tools/install.sh`:
    python [venv] [headers]  status 1 unless this Python is supported and has those; an older one fails before that
    stack                    which line of OpenMMLab's packages this environment has
    mmcv STACK [no-ops]      the mmcv to install
    has NAME==VERSION        status 1 unless that is installed
"""
import runpy
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
SUPPORTED = SimpleNamespace(**runpy.run_path(str(ROOT / 'mmrefseg/utils/supported_versions.py')))


def installed(package: str) -> str | None:
    """The installed version of a distribution, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def stack_here() -> str:
    """The line of OpenMMLab's packages that this environment has or, without any, OpenMMLab's own."""
    return 'onedl' if installed('onedl-mmengine') or installed('onedl-mmcv') else 'openmmlab'


def mmcv_of(stack: str, operators: bool = True) -> tuple[str, str]:
    """Name and version of the mmcv to install; without operators, one that has them will do too where it is there."""
    name, _, number = SUPPORTED.STACKS[stack]['mmcv']
    pure = stack == 'openmmlab' and not operators and installed(name) is None
    return (SUPPORTED.PURE_MMCV if pure else name), number


def python_fits(needs: tuple[str, ...]) -> bool:
    """Whether the Python that runs this is supported and has what is needed: `venv` makes environments; `headers`."""
    oldest, newest = (tuple(map(int, text.split('.'))) for text in SUPPORTED.PYTHON)
    modules = ('ensurepip', 'venv') if 'venv' in needs else ()
    return (oldest <= sys.version_info[:2] <= newest and all(map(find_spec, modules))
            and ('headers' not in needs or Path(sysconfig.get_path('include'), 'Python.h').exists()))


def main(question: str, *words: str) -> None:
    if question == 'python':
        sys.exit(not python_fits(words))
    elif question == 'stack':
        print(stack_here())
    elif question == 'mmcv':
        print('=='.join(mmcv_of(words[0], operators='no-ops' not in words)))
    elif question == 'has':
        name, number = words[0].split('==')
        sys.exit(installed(name) != number)


if __name__ == '__main__':
    main(*sys.argv[1:])
