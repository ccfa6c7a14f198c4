"""Train a model: tools/train.py CONFIG."""
from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from mmrefseg.apis.running import add_common_arguments, load_config


def parse_args() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from a checkpoint; without a name from the latest in the work folder')
    add_common_arguments(parser)
    return parser.parse_args()


def use_mixed_precision(cfg: Config) -> None:
    """bfloat16 where the device computes in it, else float16 with loss scaling."""
    if not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False):
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    else:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        use_mixed_precision(cfg)
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    try:
        Runner.from_cfg(cfg).train()
    except KeyboardInterrupt:
        last = find_latest_checkpoint(cfg.work_dir)
        if last is None:
            sys.exit(f'\nStopped before the first checkpoint was written to {cfg.work_dir}.')
        sys.exit(f'\nStopped. The last checkpoint is {last}; to continue:\n'
                 f'  python {sys.argv[0]} {args.config} --work-dir {Path(cfg.work_dir)} --resume')


if __name__ == '__main__':
    main()
