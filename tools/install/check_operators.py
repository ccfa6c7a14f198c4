"""Are mmcv's compiled operators there, in the version given as the argument (`NAME==VERSION`), and do they fit?"""
import sys

from build_plan import find_nvcc, wants_cuda
from versions import installed


def check_operators(name: str, version: str) -> str:
    """What the operators were compiled for; ends the program where they are missing, or lack CUDA that is wanted."""
    if installed(name) != version:
        sys.exit(f'{name} {installed(name)} is installed, wanted is {version}')
    from mmcv.ops import get_compiling_cuda_version
    cuda = get_compiling_cuda_version()
    if cuda != 'not available':
        return f'CPU and CUDA {cuda}'
    if wants_cuda(find_nvcc()):
        sys.exit("mmcv's operators were compiled without CUDA")
    return 'CPU'


if __name__ == '__main__':
    check_operators(*sys.argv[1].split('=='))
