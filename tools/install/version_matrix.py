"""Sets mmrefseg up with the oldest and newest versions that it supports and some between, and runs it with each.

usage: python tools/install/version_matrix.py [--rows N [N ...]] [--folder FOLDER]

Each environment is made with tools/install.sh, one at a time, trains and tests the tiny model for some steps, runs the
tests of mmcv's operators, and is removed. Prints a table; the logs stay in FOLDER (default: work_dirs/matrix). An
environment takes up to 8 GB and, on two cores, about ten minutes.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from versions import ROOT, SUPPORTED


class Row(NamedTuple):
    """One combination of versions to try."""

    python: str
    torch: str
    numpy: str
    stack: str = 'openmmlab'
    words: str = ''  # options of tools/install.sh
    others: str = ''  # what else is there

    def cells(self) -> tuple[str, ...]:
        """What the table says of it."""
        return (self.python, self.torch, self.numpy, self.stack, ' '.join((self.words, self.others)).strip())


# From the oldest with the oldest to the newest with the newest.
VERSION_ROWS = (
    Row('3.10', '2.6.0', '1.26.4'),
    Row('3.10', '2.7.1', '1.26.4', words='--no-ops'),
    Row('3.11', '2.8.0', '1.26.4', stack='onedl'),
    Row('3.11', '2.9.1', '2.2.6'),
    Row('3.11', '2.11.0', '2.4.*'),
    Row('3.11', '2.11.0', '2.4.*', stack='onedl', others='transformers>=5'),
    Row('3.12', '2.12.1', '2.4.*', others='transformers<5'),
    Row('3.12', '2.13.0', '2.4.*', stack='onedl', words='--no-ops'),
    Row('3.12', '2.14.1', '2.*', stack='onedl', others='transformers>=5'),
    Row('3.13', '2.14.1', '2.*', others='transformers>=5'),
    Row('3.13', '2.15.*', '2.*'),
    Row('3.13', '2.15.*', '2.*', stack='onedl', others='transformers>=5'),
)
TINY_CONFIG = f'{ROOT}/configs/segvlm/segvlm_tiny_refshapes.py'  # with deformable convolutions
SMOKE = (
    (f'{ROOT}/tools/dataset_converters/refshapes.py', 'data/refshapes', *['--num-train', '32', '--num-val', '4'],
     *['--num-testA', '4', '--num-testB', '4']),
    (f'{ROOT}/tools/train.py', TINY_CONFIG, '--work-dir', 'work', '--cfg-options', 'train_cfg.max_iters=2',
     'train_dataloader.batch_size=8', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None'),
    (f'{ROOT}/tools/test.py', TINY_CONFIG, 'work/iter_2.pth', '--work-dir', 'work'),
    ('-m', 'pytest', '--rootdir', f'{ROOT}', f'{ROOT}/tests/test_models/test_layers/test_deformable_conv.py',
     f'{ROOT}/tests/test_utils/test_mmcv_operator_stubs.py',
     f'{ROOT}/tests/test_tools/test_install/test_compiled_operators.py', '-p', 'no:cacheprovider'),
)


def run_logged(command: list[str], environment: Path, log: Path, timeout: float = 3600) -> bool:
    """Run a command in an environment with its output in the log; whether it succeeded."""
    variables = {**os.environ, 'VIRTUAL_ENV': str(environment), 'HF_HUB_OFFLINE': '1', 'PYTHONPATH': ''}
    with log.open('a') as file:
        print('$', *command, file=file, flush=True)
        try:
            return subprocess.run(command, cwd=log.parent, env=variables, stdout=file, stderr=subprocess.STDOUT,
                                  timeout=timeout, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            print(f'took more than {timeout:.0f} seconds', file=file)
            return False


def find_python(version: str) -> str | None:
    """A Python of this version that runs, which a version manager's placeholder may not do."""
    found = shutil.which(f'python{version}')
    works = found and subprocess.run([found, '-c', ''], capture_output=True, check=False).returncode == 0
    return found if works else None


def try_row(row: Row, base: str, folder: Path, log: Path) -> str:
    """Make the environment and run mmrefseg in it; what the table says of the outcome."""
    environment = folder / 'environment'
    python = str(environment / 'bin/python')
    vision = SUPPORTED.torchvision_for(row.torch)
    packages = [f'torch=={row.torch}', f'torchvision=={vision}.*', f'numpy=={row.numpy}', *row.others.split()]
    install = ['bash', f'{ROOT}/tools/install.sh', '--tests', *row.words.split()]
    if row.stack == 'onedl':
        install.append('--onedl')
    steps = {'no environment': [base, '-m', 'venv', str(environment)],
             'not to be had': [python, '-m', 'pip', 'install', *packages],
             'installation failed': install}
    for number, command in enumerate(SMOKE, start=1):
        steps[f'smoke test {number} failed'] = [python, *command]
    try:
        for failure, command in steps.items():
            if not run_logged(command, environment, log):
                return failure
        return 'works'
    finally:
        for name in ('environment', 'data', 'work'):
            shutil.rmtree(folder / name, ignore_errors=True)


def print_table(lines: list[tuple[str, ...]]) -> None:
    """Print the outcomes as a table in Markdown."""
    head = ('Python', 'PyTorch', 'numpy', 'OpenMMLab', 'besides', 'result', 'minutes')
    for line in (head, ('---',) * len(head), *lines):
        print('| ' + ' | '.join(line) + ' |')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, nargs='+', choices=range(1, len(VERSION_ROWS) + 1), metavar='N',
                        default=range(1, len(VERSION_ROWS) + 1),
                        help=f'rows of the table, from 1 to {len(VERSION_ROWS)}; default all')
    parser.add_argument('--folder', type=Path, default=ROOT / 'work_dirs/matrix')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in args.rows:
        row, started = VERSION_ROWS[number - 1], time.monotonic()
        base = find_python(row.python)
        log = folder / f'row_{number}.log'
        log.unlink(missing_ok=True)
        result = try_row(row, base, folder, log) if base else 'declared, not run'
        lines.append((*row.cells(), result, f'{(time.monotonic() - started) / 60:.1f}'))
        print(f'row {number}: {result}', file=sys.stderr, flush=True)
    print_table(lines)
    sys.exit(any(line[-2] not in ('works', 'declared, not run') for line in lines))


if __name__ == '__main__':
    main()
