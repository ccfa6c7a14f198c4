"""Is a fitting pair of PyTorch and torchvision installed here?

Exit status 0: yes. 3: PyTorch is absent. 1: what is here does not fit, and a message says why and what mends it.
"""
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from refusal import refuse

ABSENT = 3
MINOR_OFFSET = 15  # torchvision 0.26 belongs to PyTorch 2.11, 0.27 to 2.12, ...
SETUP = Path(__file__).resolve().parents[2] / 'setup.py'


def installed(package: str) -> str | None:
    """The installed version of `package`, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_pair() -> None:
    """Ends the program unless PyTorch is of a version that `setup.py` accepts and torchvision works with it."""
    torch, vision = installed('torch'), installed('torchvision')
    if torch is None:
        sys.exit(ABSENT)
    here = f'PyTorch {torch} and torchvision {vision or "(none)"} in {sys.prefix}'
    pip = f'{sys.executable} -m pip'
    replace = f'{pip} uninstall -y torch torchvision'

    low, high = map(int, re.search(r"'torch>=2\.(\d+),<2\.(\d+)'", SETUP.read_text()).groups())
    major, minor = map(int, torch.split('.')[:2])
    if major != 2 or not low <= minor < high:
        refuse(f'{here}: this PyTorch is not supported', f'PyTorch 2.{low} to 2.{high - 1}',
               f'use another environment, or {replace}')
    wanted = f'0.{minor + MINOR_OFFSET}'
    if vision is None:
        ordinary = '+' not in torch
        refuse(f'{here}: torchvision is missing', f'torchvision {wanted}, of the same build as PyTorch',
               f"{pip} install torch=={torch} 'torchvision=={wanted}.*'" if ordinary else replace)
    if not vision.startswith(f'{wanted}.'):
        refuse(f'{here} do not belong together', f'torchvision {wanted} with PyTorch 2.{minor}', replace)
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        refuse(f'{here} do not work together ({str(error).strip().splitlines()[0]})',
               'two packages of the same build: both for CPU only ("+cpu"), or both for the same CUDA version', replace)


if __name__ == '__main__':
    check_pair()
