"""What tools/model_converters share: from a published checkpoint file to one of ours."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

import mmrefseg
from mmrefseg.checkpoints.module_weights import checkpoint_bytes, load_weights
from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.errors import InputError
from mmrefseg.models.converters import Conversion
from mmrefseg.utils.files import check_writable, refuse_overwriting, write_atomically

from . import command_line
from .config_to_model import build_model

_EXAMPLES = 2


def find_config(weights: Mapping[str, Tensor], configs: Sequence[str], source: str) -> str:
    """Find the config whose model has exactly these weights.

    Args:
        weights: name → tensor.
        configs: paths of configs.
        source: where the weights come from, for the message.

    Returns:
        The path of the config.

    Raises:
        InputError: none has; says how the nearest differs.
    """
    shapes = {(name, value.shape) for name, value in weights.items()}
    models = {}
    for path in configs:
        with torch.device('meta'):
            models[path] = build_model(Config.fromfile(path))

    def difference(path: str) -> int:
        return len(shapes ^ {(name, value.shape) for name, value in models[path].state_dict().items()})

    nearest = min(configs, key=difference)
    # Without the versions in there, modules would add what files of older versions lack.
    on_meta = OrderedDict((name, value.to('meta')) for name, value in weights.items())
    on_meta._metadata = models[nearest].state_dict()._metadata  # type: ignore[attr-defined]
    load_weights(models[nearest], on_meta, source=f'{source}, converted and compared with {nearest},')
    return nearest


def convert_file(source: str, target: str, convert: Callable[[Mapping[str, Any]], Conversion],
                 configs: Sequence[str]) -> str:
    """Convert a checkpoint file, completely or not at all.

    Args:
        source: the published file; nothing in it is executed.
        target: file to write, a checkpoint as mmengine's Runner loads it.
        convert: turns what is in the file into our weights.
        configs: paths of the configs that the weights may be for.

    Returns:
        A report: which config the weights fit, and what was left out.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is no checkpoint of the method, or fits none of the configs.
        FileError: ``target`` cannot be written.
    """
    refuse_overwriting(target, [source])
    check_writable(Path(target).parent)
    checkpoint = load_from_local(source)
    try:
        weights, dropped = convert(checkpoint)
    except InputError as error:
        raise InputError(f'{source} is {error}') from None
    config = find_config(weights, configs, source)
    meta = dict(mmrefseg_version=mmrefseg.__version__, converted_from=Path(source).name)
    write_atomically(checkpoint_bytes(dict(meta=meta, state_dict=weights)), target)
    lines = [f'{target}: {len(weights)} entries, for {config} and configs of the same model on other data']
    for reason, names in dropped.items():
        examples = ', '.join(names[:_EXAMPLES]) + (', …' if len(names) > _EXAMPLES else '')
        lines.append(f'  {len(names)} left out or cut: {reason} ({examples})')
    return '\n'.join(lines)


def run_converter(convert: Callable[[Mapping[str, Any]], Conversion], configs: Sequence[str], description: str) -> None:
    """The command of a tool that converts checkpoints: SRC DST [--config CONFIG].

    It ends with a message where a file cannot be converted.

    Args:
        convert: turns what is in the file into our weights.
        configs: names of the configs in ``configs/`` that the weights may be for.
        description: what the tool does, for ``--help``.
    """
    parser = ArgumentParser(description=description)
    parser.add_argument('source', metavar='SRC', help='official checkpoint, of training or weights alone')
    parser.add_argument('target', metavar='DST', help='file to write')
    parser.add_argument('--config', help='config of the model, a path or the name of one in configs/, '
                        'where its settings are not the published ones')

    def convert_checkpoint(args: Namespace) -> None:
        mmrefseg.register_all_modules()
        names = [args.config] if args.config else configs
        paths = [name if Path(name).is_file() else mmrefseg.config_path(name) for name in names]
        print(convert_file(args.source, args.target, convert, paths))

    command_line.run(parser, convert_checkpoint)
