"""Make a full checkpoint of one that holds only what was trained, and the pretrained weights beneath it."""
from __future__ import annotations

import argparse

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, read_config
from mmrefseg.checkpoints.loading import load_checkpoint
from mmrefseg.checkpoints.module_weights import checkpoint_bytes
from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.checkpoints.trained_only import is_delta
from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.files import write_atomically


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description=f'{__doc__} Optimizer and schedules, where there are any, stay in it, so that it can be resumed.',
        epilog='example: %(prog)s sera_dinov2_refcoco work_dirs/sera_dinov2_refcoco/epoch_65.pth sera_full.pth')
    parser.add_argument('config', help='config that it was trained with, which names the pretrained files: a path, or '
                                       'the name of one in configs/')
    parser.add_argument('delta', metavar='DELTA', help='checkpoint that was saved with '
                                                       'default_hooks.checkpoint.trained_only=True')
    parser.add_argument('out', metavar='OUT', help='file to write')
    add_cfg_options(parser, 'model.backbone.init_cfg.checkpoint=dinov2.pth')
    return parser


def merge(config: Config, delta: str) -> dict:
    """The checkpoint with all weights, the pretrained ones included.

    Args:
        config: config that names the pretrained files.
        delta: path of the checkpoint that lacks them.

    Raises:
        MissingInputError: there is no such checkpoint or pretrained file.
        InputError: the checkpoint lacks nothing, is damaged, or doesn't fit the config.
    """
    checkpoint = load_from_local(delta, map_location='cpu')
    if not is_delta(checkpoint):
        raise InputError(f'{delta} is not a checkpoint that was saved with trained_only; there is nothing to merge')
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        model = MODELS.build(config.model)
        return load_checkpoint(model, checkpoint, source=delta)


def write_merged(args: argparse.Namespace) -> None:
    """Complete a checkpoint and write it."""
    config = read_config(args.config, args.cfg_options)
    write_atomically(checkpoint_bytes(merge(config, args.delta)), args.out)
    print(f'The full checkpoint is {args.out}')


def main() -> None:
    """Merge as the command line says."""
    command_line.run(make_parser(), write_merged)


if __name__ == '__main__':
    main()
