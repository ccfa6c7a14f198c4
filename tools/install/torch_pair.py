"""PyTorch and torchvision: is a fitting pair here, and which one is to be installed?

usage: python torch_pair.py check
       python torch_pair.py choose auto|cpu|cuda

`check` ends with status 0 if a fitting pair is here, 3 if PyTorch is absent, and 1 if what is here does not fit; then a
message says why and what mends it. `choose` prints what is to be said, the gigabytes that the pair takes on the disk,
and the arguments of pip, one per line.
"""
import shutil
import subprocess
import sys
from urllib.error import URLError
from urllib.request import urlopen

from exit_message import exit_with
from versions import SUPPORTED, installed

ABSENT = 3


def check_pair() -> None:
    """Ends the program unless PyTorch is no older than what is supported and torchvision works with it."""
    torch, vision = installed('torch'), installed('torchvision')
    if torch is None:
        sys.exit(ABSENT)
    here = f'PyTorch {torch} and torchvision {vision or "(none)"} in {sys.prefix}'
    pip = f'{sys.executable} -m pip'
    replace = f'{pip} uninstall -y torch torchvision'

    oldest, newest = (tuple(map(int, text.split('.'))) for text in SUPPORTED.TORCH)
    release = tuple(map(int, torch.split('.')[:2]))
    if release < oldest:
        exit_with(f'{here}: this PyTorch is too old', f'PyTorch {SUPPORTED.TORCH[0]} or newer',
                  f'use another environment, or {replace}')
    if release > newest:
        print(f'install: {here}: nobody tried mmrefseg with a PyTorch newer than {SUPPORTED.TORCH[1]}; going on')
    wanted = SUPPORTED.torchvision_for(torch)
    if vision is None:
        ordinary = '+' not in torch
        exit_with(f'{here}: torchvision is missing', f'torchvision {wanted}, of the same build as PyTorch',
                  f"{pip} install torch=={torch} 'torchvision=={wanted}.*'" if ordinary else replace)
    if release <= newest and not vision.startswith(f'{wanted}.'):
        exit_with(f'{here} do not belong together', f'torchvision {wanted} with PyTorch {torch}', replace)
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        exit_with(f'{here} do not work together ({str(error).strip().splitlines()[0]})',
                  'two packages of the same build: both for CPU only ("+cpu"), or both for the same CUDA version',
                  replace)


def has_gpu() -> bool:
    """Whether NVIDIA's driver lists a GPU."""
    tool = shutil.which('nvidia-smi')
    return tool is not None and subprocess.run([tool, '-L'], capture_output=True, check=False).returncode == 0


def cpu_index_answers() -> bool:
    """Whether PyTorch's index of CPU builds can be reached."""
    try:
        with urlopen(f'{SUPPORTED.CPU_INDEX}/torch/', timeout=10):
            return True
    except (URLError, OSError):
        return False


def choose_pair(kind: str) -> tuple[list[str], int, list[str]]:
    """What to say, the gigabytes that the pair takes, and what pip is asked for.

    Args:
        kind: ``cpu`` or ``cuda`` builds, or ``auto``: those for CPUs where there is no GPU.
    """
    torch = SUPPORTED.DEFAULT_TORCH
    pair = [f'torch=={torch}', f'torchvision=={SUPPORTED.torchvision_for(torch)}.*']
    ordinary = 'PyTorch with CUDA: downloads 2.5 GB, takes 5 GB on the disk'
    if kind == 'cuda' or (kind == 'auto' and has_gpu()):
        return [ordinary], 5, pair
    if not cpu_index_answers():
        return [f"PyTorch's index of builds for CPUs ({SUPPORTED.CPU_INDEX}) cannot be reached: taking the ordinary "
                'ones, which run without a GPU too', ordinary], 5, pair
    return (['PyTorch for CPUs: downloads 0.2 GB, takes 1 GB on the disk (another one: --cuda)'], 1,
            ['--index-url', SUPPORTED.CPU_INDEX, *pair])


if __name__ == '__main__':
    if sys.argv[1] == 'check':
        check_pair()
    else:
        said, size, arguments = choose_pair(sys.argv[2])
        print(*(f'install: {line}' for line in said), size, *arguments, sep='\n')
