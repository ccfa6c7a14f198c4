"""Count the parameters of a config's model, and those that train: tools/analysis_tools/count_params.py CONFIG."""
from __future__ import annotations

from argparse import ArgumentParser

import torch
from mmengine.config import Config
from torch import nn

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, build_model, read_config
from mmrefseg.utils.model_complexity import parameter_table


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Print how many parameters the model of a config has, in total and of each part, and how many of '
        'them train. Needs neither weights nor data.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    add_cfg_options(parser, 'model.backbone.tuning=none')
    return parser


def build_counted(config: Config) -> nn.Module:
    """The model, without the cost of its memory where its parts can be built so."""
    try:
        with torch.device('meta'):
            return build_model(config)
    except RuntimeError:  # some backbones compute settings with tensors, which have no values there
        return build_model(config)


def main() -> None:
    """Count as the command line says."""
    command_line.run(make_parser(),
                     lambda args: print(parameter_table(build_counted(read_config(args.config, args.cfg_options)))))


if __name__ == '__main__':
    main()
