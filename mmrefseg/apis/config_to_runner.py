"""What the tools that train and test share: from the command line to a Runner, and through a split."""
from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmrefseg.errors import InputError
from mmrefseg.registry import LOOPS
from mmrefseg.utils.files import check_writable, refuse_link
from mmrefseg.utils.launched_processes import tie_to_launcher

from .config_to_model import add_cfg_options, read_config

# What mmengine's Runner adds by itself, and takes None for.
_RUNNERS_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


def add_common_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that training and testing share.

    Args:
        parser: the tool's parser, which is changed.
    """
    parser.add_argument('--work-dir', help='folder for logs and results (default: work_dirs/<name of the config>)')
    parser.add_argument('--amp', action='store_true', help='run the model under mixed precision')
    add_cfg_options(parser, 'train_dataloader.batch_size=8 randomness.seed=1')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='how several processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')


def load_config(args: Namespace) -> Config:
    """Read the config that ``args`` name, apply their options, make the work folder, and join the other processes.

    Args:
        args: parsed arguments: ``config`` and those of :func:`add_common_arguments`.

    Raises:
        MissingInputError: there is no such config.
        FileError: the work folder cannot be written, or what the config is written to there is a link.
        InputError: the config has no model; or the launcher needs a GPU, and there is none.
    """
    tie_to_launcher(args.launcher)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))
    check_writable(cfg.work_dir)
    refuse_link(Path(cfg.work_dir, Path(cfg.filename).name))  # mmengine writes the config through it
    _leave_out_hooks(cfg)
    for name in ('train', 'val', 'test'):
        dataloader = cfg.get(f'{name}_dataloader')
        if dataloader and dataloader.get('num_workers') == 0:
            dataloader.persistent_workers = False  # PyTorch refuses the two together
    if args.launcher != 'none' and not torch.cuda.is_available():
        _distribute_on_cpu(cfg)
    return cfg


def mixed_precision_dtype() -> torch.dtype:
    """bfloat16 where the device computes in it, else float16."""
    if not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16


def add_compile_argument(parser: ArgumentParser) -> None:
    """Add ``--compile``, which training and testing share.

    Args:
        parser: the tool's parser, which is changed.
    """
    parser.add_argument('--compile', action='store_true',
                        help='run the model under torch.compile: faster after first steps that take minutes')


def compile_model(runner: Runner) -> None:
    """Let ``torch.compile`` make graphs of a runner's model when it is first called; weights keep their names.

    The whole forward pass with its losses is one graph. What is around it, such as reading data, the optimizer and the
    way back onto the original image, stays as it is.

    Args:
        runner: its model is changed, also within a wrapper for several processes.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    model.compile()


def tell_speed(runner: Runner, mode: Literal['train', 'test']) -> None:
    """Log the median time per step, reading data included.

    Args:
        runner: after steps of the ``mode``, which MMEngine's ``IterTimerHook`` has timed.
        mode: ``'train'`` or ``'test'``.
    """
    times = runner.message_hub.log_scalars.get(f'{mode}/time')
    if times is not None:
        runner.logger.info(f'{median(times.data[0].tolist()):.4f} seconds per step (median)')


def start_testing(cfg: Config, checkpoint: str) -> Runner:
    """Build a runner and give its model the weights of a checkpoint.

    Args:
        cfg: a config of :func:`load_config`; its ``load_from`` and ``resume`` are set.
        checkpoint: trained weights.

    Raises:
        MissingInputError: there is no such checkpoint.
        InputError: the weights are of another architecture, or the file is damaged or unsafe.
    """
    cfg.load_from, cfg.resume = checkpoint, False  # a training that went on leaves True in the config that it writes
    runner = Runner.from_cfg(cfg)
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner


def run_test(runner: Runner, dataloader: Mapping | DataLoader, evaluator: Mapping | Sequence[Any],
             amp: bool = False) -> dict[str, float]:
    """Test the runner's model on other data than those of its config.

    Args:
        runner: from :func:`start_testing`; its ``test_loop`` is this test's afterwards.
        dataloader: of the data, or its config.
        evaluator: config of the metric, or a list of metrics and their configs; copies of these count.
        amp: whether the model runs under mixed precision. Default False.

    Returns:
        The metrics' figures.
    """
    # mmengine's loop enters an autocast of its own, which takes the type, but not the consent, from the one around it.
    loop = dict(runner.cfg.test_cfg, dataloader=dataloader, evaluator=deepcopy(evaluator), fp16=amp)
    # Hooks ask the runner for its test loop, and it would build the config's split again.
    runner._test_loop = LOOPS.build(loop, default_args=dict(runner=runner))
    with torch.autocast(get_device(), mixed_precision_dtype(), enabled=amp):
        return runner.test_loop.run()


def _leave_out_hooks(cfg: Config) -> None:
    """Let None leave out any of the default hooks: mmengine's Runner takes it for its own ones alone."""
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in _RUNNERS_HOOKS]:
        del hooks[name]


def _distribute_on_cpu(cfg: Config) -> None:
    """Let several processes work without a GPU: mmengine's own start-up selects CUDA devices."""
    if cfg.launcher != 'pytorch':
        raise InputError(f'without a GPU several processes need --launcher pytorch, not {cfg.launcher}')
    dist.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    cfg.pop('sync_bn', None)
