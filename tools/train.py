"""Train a model: tools/train.py CONFIG."""
from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_runner import (
    add_common_arguments,
    add_compile_argument,
    compile_model,
    load_config,
    mixed_precision_dtype,
    tell_speed,
)
from mmrefseg.checkpoints.latest_checkpoint import checkpoints_in, noted_checkpoint, refuse_another_run
from mmrefseg.checkpoints.pretrained import require_files
from mmrefseg.errors import InputError
from mmrefseg.registry import type_name
from mmrefseg.utils.files import check_writable
from mmrefseg.utils.launched_processes import is_first_process, leave_process_group
from mmrefseg.utils.locks import locked_folder


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from a checkpoint; without a name from the latest in the work folder')
    add_compile_argument(parser)
    add_common_arguments(parser)
    return parser


def use_mixed_precision(cfg: Config) -> None:
    """bfloat16 where the device computes in it, else float16 with loss scaling."""
    if mixed_precision_dtype() == torch.bfloat16:
        cfg.optim_wrapper.type = 'mmrefseg.BFloat16OptimWrapper'
        for setting in ('loss_scale', 'dtype', 'use_fsdp'):  # of a config's own AmpOptimWrapper
            cfg.optim_wrapper.pop(setting, None)
    else:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def refuse_gpu_wrappers(cfg: Config) -> None:
    """Refuse, without a GPU, what MMEngine would end of in an assertion.

    Raises:
        InputError: the config's optimizer wrapper computes on GPUs alone.
    """
    kind = type_name((cfg.get('optim_wrapper') or {}).get('type', ''))
    if kind in ('AmpOptimWrapper', 'ApexOptimWrapper') and not torch.cuda.is_available():
        raise InputError(f'optim_wrapper is an {kind}, which computes on GPUs alone, and there is none here. --amp '
                         'trains in mixed precision on CPUs, too')


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Continue from a checkpoint, or with ``auto`` from the latest in the work folder, which the runner finds.

    Where a run was stopped ahead of its first checkpoint, it starts again from what its config starts from.
    """
    cfg.resume = True
    if checkpoint == 'auto':
        cfg.start_from, cfg.load_from = cfg.get('load_from') or cfg.get('start_from'), None
    else:
        cfg.load_from = checkpoint


def continuing_command(args: Namespace) -> str:
    """The command line that continues this training."""
    words = sys.argv[1:]
    if args.resume:
        words = [word for word in words if word not in ('--resume', args.resume)]
    if args.launcher == 'pytorch':
        rest = [word for word in words if word not in (args.config, '--launcher', 'pytorch')]
        start = ['tools/dist_train.sh', args.config, os.environ['WORLD_SIZE'], *rest]
    else:
        start = ['python', sys.argv[0], *words]
    return shlex.join([*start, '--resume'])


def checkpoint_hook(cfg: Config) -> Mapping:
    """The settings of what saves checkpoints."""
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


def checkpoint_folder(cfg: Config) -> Path:
    """Where a run saves checkpoints."""
    out_dir = checkpoint_hook(cfg).get('out_dir')
    return Path(out_dir, Path(cfg.work_dir).name) if out_dir else Path(cfg.work_dir)


def last_checkpoint(cfg: Config) -> Path | None:
    """The last checkpoint in the folder of a run."""
    return noted_checkpoint(cfg.work_dir, checkpoint_folder(cfg))


def lock_folders(cfg: Config, stack: ExitStack) -> None:
    """Keep other runs out of the folders of this one, that of its checkpoints among them, until a stack is left.

    Raises:
        InputError: another run is at work in one.
        FileError: a folder cannot be written.
    """
    folders = [Path(cfg.work_dir)]
    if checkpoint_hook(cfg).get('backend_args') is None:  # else it may be on another machine
        folders.append(checkpoint_folder(cfg))
    for folder in dict.fromkeys(folders):
        check_writable(folder)
        stack.enter_context(locked_folder(folder, 'training'))


def refuse_used_folder(cfg: Config) -> None:
    """Refuse to begin among the checkpoints of another run, also with a checkpoint from elsewhere.

    Raises:
        InputError: there are some.
    """
    folder, start = checkpoint_folder(cfg), cfg.get('load_from')
    if cfg.get('resume') and (start is None or Path(start).resolve().parent == folder.resolve()):
        return
    refuse_another_run(cfg.work_dir, checkpoints_in(folder, checkpoint_hook(cfg).get('filename_tmpl')))


def train(cfg: Config, args: Namespace) -> None:
    """Train until the end, or until Ctrl-C, and say then how to continue."""
    try:
        runner = Runner.from_cfg(cfg)
        if args.compile:
            compile_model(runner)
        runner.train()
        tell_speed(runner, 'train')
    except (KeyboardInterrupt, SyntaxError) as error:
        # mmengine formats the config at each checkpoint, and says SyntaxError when it is interrupted there.
        if isinstance(error, SyntaxError) and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        if not is_main_process():
            sys.exit(130)
        last = last_checkpoint(cfg)
        sys.exit(f'\nStopped before the first checkpoint was written to {cfg.work_dir}.' if last is None else
                 f'\nStopped. The last checkpoint is {last}; to continue:\n  {continuing_command(args)}')


def prepare_and_train(args: Namespace) -> None:
    """Prepare the config, and train."""
    cfg = load_config(args)
    require_files(cfg)
    if args.amp:
        use_mixed_precision(cfg)
    refuse_gpu_wrappers(cfg)
    if args.resume:
        resume_from(cfg, args.resume)
    with ExitStack() as stack:
        if is_first_process(args.launcher):  # it keeps the others of its run in the folder, and those of other runs out
            lock_folders(cfg, stack)
            refuse_used_folder(cfg)
        train(cfg, args)
        leave_process_group()


def main() -> None:
    """Train as the command line says."""
    command_line.run(make_parser(), prepare_and_train)


if __name__ == '__main__':
    main()
