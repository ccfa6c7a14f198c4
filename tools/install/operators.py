"""Are mmcv's compiled operators there, in the version given as the argument (`mmcv==...`), and do they fit?"""
import sys
from importlib.metadata import version

from build_plan import find_nvcc, wants_cuda


def check_operators() -> str:
    """What the operators were compiled for; ends the program where CUDA is wanted and they are without."""
    from mmcv.ops import get_compiling_cuda_version
    cuda = get_compiling_cuda_version()
    if cuda != 'not available':
        return f'CPU and CUDA {cuda}'
    if wants_cuda(find_nvcc()):
        sys.exit("mmcv's operators were compiled without CUDA")
    return 'CPU'


if __name__ == '__main__':
    if f'mmcv=={version("mmcv")}' != sys.argv[1]:
        sys.exit(f'mmcv {version("mmcv")} is installed')
    check_operators()
