"""How mmcv's operators are to be built against the PyTorch that is here.

usage: python build_plan.py name | standard    prints that field of the plan

CUDA operators are built where PyTorch was built for CUDA, `nvcc` is there and a GPU is there, or where `FORCE_CUDA=1`
says so; `FORCE_CUDA=0` builds for the CPU alone.
"""
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from exit_message import exit_with


class Plan(NamedTuple):
    """A build of mmcv's operators."""

    name: str  # what the wheel depends on besides mmcv: PyTorch, CUDA (and the GPU generations), Python, processor
    standard: int  # the C++ standard that the headers of this PyTorch demand: 17 or 20
    cuda_home: str  # the folder of the CUDA toolkit; empty for a CPU build
    cuda_headers: str  # PyTorch's own CUDA headers, which complete a small toolkit; empty for a CPU build


def find_nvcc() -> str | None:
    """The CUDA compiler: in `CUDA_HOME` if that is set, else on PATH, else where toolkits usually lie."""
    home = os.environ.get('CUDA_HOME')
    return shutil.which('nvcc', path=f'{home}/bin') if home else shutil.which('nvcc') or shutil.which(
        'nvcc', path='/usr/local/cuda/bin')


def wants_cuda(nvcc: str | None) -> bool:
    """Whether the operators are to be built for CUDA too."""
    forced = os.environ.get('FORCE_CUDA')
    if forced is not None:
        return forced == '1'
    return nvcc is not None and torch.version.cuda is not None and torch.cuda.is_available()


def toolkit(nvcc: str) -> tuple[str, str]:
    """Folder and version of the toolkit that `nvcc` belongs to; asked of itself, as it may be a script elsewhere."""
    dry_run = subprocess.run([nvcc, '--dryrun', '-x', 'cu', '-E', os.devnull], capture_output=True, text=True)
    home = re.search(r'_HERE_=(.+)/bin', dry_run.stderr).group(1)
    told = subprocess.run([nvcc, '--version'], capture_output=True, text=True, check=True).stdout
    return home, re.search(r'release (\d+\.\d+)', told).group(1)


def gpu_generations() -> str:
    """What the CUDA code is compiled for, such as `9.0`."""
    generations = os.environ.get('TORCH_CUDA_ARCH_LIST', '')
    if not generations:
        found = {torch.cuda.get_device_capability(gpu) for gpu in range(torch.cuda.device_count())}
        generations = ' '.join(f'{major}.{minor}' for major, minor in sorted(found))
    if not generations:
        exit_with('FORCE_CUDA=1, but there is no GPU to compile for',
                  'a GPU, or TORCH_CUDA_ARCH_LIST naming the generations (such as "8.0 9.0")',
                  'export TORCH_CUDA_ARCH_LIST=...')
    return generations


def cuda_plan(nvcc: str | None) -> tuple[str, str, str]:
    """The CUDA part of the wheel's name, the toolkit and PyTorch's headers; refuses what cannot be built."""
    if nvcc is None or torch.version.cuda is None:
        missing = 'no nvcc was found' if nvcc is None else f'PyTorch {torch.__version__} was built without CUDA'
        exit_with(f'FORCE_CUDA=1, but {missing}', 'a CUDA toolkit (nvcc on PATH, or CUDA_HOME) and a PyTorch for CUDA',
                  'install what is missing, or FORCE_CUDA=0')
    home, release = toolkit(nvcc)
    if release.split('.')[0] != torch.version.cuda.split('.')[0]:
        exit_with(f'nvcc is of CUDA {release}, but PyTorch {torch.__version__} was built for CUDA {torch.version.cuda}',
                  'the same major version', f'install the CUDA {torch.version.cuda} toolkit, or FORCE_CUDA=0 '
                  '(operators on the CPU alone)')
    headers = sorted(str(path) for path in Path(torch.__file__).parents[1].glob('nvidia/*/include'))
    generations = re.sub(r'[^0-9A-Za-z.]+', '_', gpu_generations())
    return f'cu{release}-sm{generations}', home, ':'.join(headers)


def make_plan() -> Plan:
    """The plan for this environment; ends the program with a message where it wants what cannot be built."""
    nvcc = find_nvcc()
    flavour, home, headers = cuda_plan(nvcc) if wants_cuda(nvcc) else ('cpu', '', '')
    python = f'cp{sys.version_info.major}{sys.version_info.minor}'
    major, minor = map(int, torch.__version__.split('.')[:2])
    return Plan(f'torch{torch.__version__}-{flavour}-{python}-{platform.machine()}',
                20 if (major, minor) >= (2, 14) else 17, home, headers)


if __name__ == '__main__':
    print(getattr(make_plan(), sys.argv[1]))
