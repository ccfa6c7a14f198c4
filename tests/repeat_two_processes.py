"""How often a training in two processes ends well: python tests/repeat_two_processes.py RUNS [--stay]."""
from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from argparse import ArgumentParser
from pathlib import Path

import torch
import torch.distributed as dist
from helpers.toy_runner import toy_runner
from mmengine.config import Config
from mmengine.runner import Runner

import mmrefseg.engine  # noqa: F401
from mmrefseg.utils.launched_processes import leave_process_group

_EXPECTED = ['best_mIoU_iter_4.pth', 'iter_1.pth', 'iter_2.pth', 'iter_3.pth', 'iter_4.pth']


def train(folder: Path, rank: int) -> None:
    """Train for four iterations, with a better score each time."""
    os.environ['LOCAL_RANK'] = str(rank)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    hook = dict(type='AtomicCheckpointHook', interval=1, by_epoch=False, save_best='mIoU')
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    toy_runner(folder / 'run', [1.0, 2.0], launcher='pytorch', cfg=Config(dict(model_wrapper_cfg=wrapper)),
               default_hooks=dict(checkpoint=hook)).train()


def main() -> None:
    """Repeat, and count the runs that don't end well."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument('runs', type=int)
    parser.add_argument('--stay', action='store_true', help='let the processes end without leaving their group before')
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    Runner._log_env = lambda *args: None  # it asks compilers and GPUs for their versions, which takes most of the time
    failures = 0
    for run in range(args.runs):
        folder = Path(tempfile.mkdtemp())
        processes = []
        for rank in range(2):
            # Forked, so that they needn't import everything again, but they end as any process does.
            processes.append(os.fork())
            if processes[-1] == 0:
                train(folder, rank)
                if not args.stay:
                    leave_process_group()
                return
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        saved = sorted(path.name for path in folder.rglob('*.pth'))
        if codes != [0, 0] or saved != _EXPECTED:
            failures += 1
            print(f'run {run + 1}: the processes end with {codes}; {saved} are saved', flush=True)
        shutil.rmtree(folder)
    print(f'{failures} of {args.runs} runs did not end well')
    sys.exit(failures > 0)


if __name__ == '__main__':
    main()
