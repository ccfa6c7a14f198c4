"""Say what is installed here, what a config needs, and how to mend what is wrong: tools/doctor.py [CONFIG]."""
from __future__ import annotations

import platform
import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mmrefseg.apis import command_line
from mmrefseg.errors import UserError
from mmrefseg.utils.collect_env import cpu_name, machine_memory, usable_cores
from mmrefseg.utils.requirements import why_not
from mmrefseg.utils.supported_versions import STACKS
from mmrefseg.version import __version__

if TYPE_CHECKING:  # OpenMMLab's packages may be what is missing
    from mmengine.config import Config

PACKAGES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'open_clip', 'timm', 'transformers',
            'numpy', 'cv2', 'pycocotools', 'lmdb')
GIBI = 2**30
CheckedLines = Iterator[tuple[str, str | None]]
"""Lines to print, each with what is wrong there and how to mend it, or None."""


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Print versions, GPUs, compiled operators, memory and disk; with CONFIG also the weights and data '
        'that it needs and where they are missing. Each problem comes with its mend. The exit status is 1 if there is '
        'any. Please put the output into reports of errors.')
    parser.add_argument('config', nargs='?', help='path of a config, or the name of one in configs/')
    return parser


def packages() -> CheckedLines:
    """Versions of what is installed, by the names that are imported."""
    yield f'mmrefseg {__version__}, Python {platform.python_version()}, {platform.platform()}', None
    distributions = packages_distributions()
    for name in PACKAGES:
        names = sorted(set(distributions.get(name, ())))
        found = ', '.join(f'{distribution} {version(distribution)}' for distribution in names)
        clash = None
        if len(names) > 1 and name not in STACKS['openmmlab']:  # of those `requirements` tells
            clash = (f'{" and ".join(names)} overwrite each other: pip uninstall -y {" ".join(names)}, and install one '
                     'of them again')
        yield f'  {name:<14}{found or "not installed"}', clash


def requirements() -> CheckedLines:
    """What the packages must be, and are not."""
    if why_not():
        yield 'mmrefseg cannot run here, but for `mmrefseg import`, `mmrefseg refshapes` and figures of arrays', (
            why_not())


def operators() -> CheckedLines:
    """Whether MMCV's compiled operators can be imported, and what they were built for."""
    if why_not():
        yield 'operators of MMCV: not looked at, as it or what it needs is not in order', None
        return
    import torch  # here, so that --help comes at once

    spec = find_spec('mmcv._ext')
    if spec is None or spec.loader is None:  # mmrefseg's stand-in has no loader
        yield 'operators of MMCV: not compiled', None
        return
    try:
        from mmcv.ops import get_compiling_cuda_version
        cuda = get_compiling_cuda_version()
    except ImportError as error:
        yield 'operators of MMCV: cannot be imported', (
            f'they were built for another PyTorch than {torch.__version__} ({str(error)[:200]}): run `bash '
            'tools/install.sh`, which builds them anew')
        return
    without = 'MMCV was built without CUDA, but there is a GPU: FORCE_CUDA=1 bash tools/install.sh builds it with CUDA'
    missing = cuda == 'not available' and torch.cuda.is_available()
    yield f'operators of MMCV: for the CPU{"" if cuda == "not available" else f" and CUDA {cuda}"}', (
        without if missing else None)


def hardware() -> CheckedLines:
    """Processor, GPUs, memory and disk."""
    import torch

    yield f'CPU: {cpu_name()}, {usable_cores()} cores', None
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        yield (f'GPU {i}: {properties.name}, {properties.total_memory / GIBI:.0f} GiB, CUDA {torch.version.cuda}', None)
    if not torch.cuda.is_available():
        mps = torch.backends.mps.is_available()
        yield f'GPU: {"mps" if mps else "none that PyTorch can use"}', None
    free = shutil.disk_usage('.').free / GIBI
    yield f'disk: {free:.0f} GiB free here', None if free > 2 else 'a training writes checkpoints: free some space'
    yield f'memory: {machine_memory() / GIBI:.0f} GiB', None


def weights(config: Config) -> CheckedLines:
    """The pretrained files that a config names."""
    from mmrefseg.checkpoints.pretrained import is_address, is_tag, require_weights, weight_files
    for setting, file in weight_files(config.get('model') or {}):
        if is_address(file) or is_tag(file):
            yield f'weights: {setting}: {file}, downloaded when they are first needed', None
            continue
        try:
            require_weights(file, setting.removesuffix('.init_cfg'), config.filename, setting)
        except UserError as error:
            yield f'weights: {file}: missing', str(error)
        else:
            yield f'weights: {file}: {Path(file).stat().st_size / 2**20:.0f} MiB', None


def data(config: Config) -> CheckedLines:
    """The data sets that a config's loaders name."""
    from mmrefseg.datasets.dataset_configs import LOADERS, build_unread, dataset_config, referring_configs
    for loader in LOADERS:
        if not config.get(f'{loader}_dataloader'):
            continue
        for dataset in referring_configs(dataset_config(config, loader), open_mixtures=True):
            unread = build_unread(dataset)
            try:
                splits = ', '.join(sorted(unread.splits()))
            except UserError as error:
                yield f'data: {loader}: {unread.title}: missing or damaged', str(error)
            else:
                yield f'data: {loader}: {unread.title}, split {unread.split} of {splits}', None


def needs(name: str) -> CheckedLines:
    """The weights and data that a config needs."""
    if why_not():
        yield f'config {name}: not read, for the same reason', None
        return
    from mmrefseg.apis.config_to_model import read_config
    config = read_config(name, needs_model=False)
    yield from weights(config)
    yield from data(config)


def examine(args: Namespace) -> bool:
    """Print what there is; returns whether anything is wrong."""
    findings = [*packages(), *requirements(), *operators(), *hardware(), *(needs(args.config) if args.config else ())]
    problems = list(dict.fromkeys(problem for _, problem in findings if problem))
    print('\n'.join(line for line, _ in findings))
    for number, problem in enumerate(problems, 1):
        print(f'\nproblem {number}: {problem}')
    if not problems:
        print('\nno problem found')
    return bool(problems)


def main() -> None:
    """Examine as the command line says."""
    command_line.run(make_parser(), examine)


if __name__ == '__main__':
    main()
