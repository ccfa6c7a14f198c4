"""Count the parameters of a config's model, and those that train: tools/analysis_tools/count_params.py CONFIG."""
from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import DefaultScope
from torch import nn

import mmrefseg
from mmrefseg.registry import MODELS
from mmrefseg.utils.parameters import parameter_table


def parse_args() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description='Print how many parameters the model of a config has, in total and of each part, and how many of '
        'them train. Needs neither weights nor data.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config, such as model.backbone.tuning=none')
    return parser.parse_args()


def build(config: Config) -> nn.Module:
    """The model, without the cost of its memory where its parts can be built so.

    Raises:
        ValueError: the config has no model, or settings of it don't fit.
    """
    if 'model' not in config:
        raise ValueError(f'{config.filename} has no `model`; name a config of a whole model')
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        try:
            with torch.device('meta'):
                return MODELS.build(config.model)
        except RuntimeError:  # some backbones compute settings with tensors, which have no values there
            return MODELS.build(config.model)


def main() -> None:
    """Count as the command line says."""
    args = parse_args()
    try:
        path = args.config if Path(args.config).is_file() else mmrefseg.config_path(args.config)
        config = Config.fromfile(path)
        config.merge_from_dict(args.cfg_options or {})
        print(parameter_table(build(config)))
    except (KeyError, ImportError, ValueError, OSError) as error:
        sys.exit(f'count_params: {" ".join(str(error).split())}')


if __name__ == '__main__':
    main()
