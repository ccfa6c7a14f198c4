"""Convert an official checkpoint of DETRIS: tools/model_converters/detris_to_mmrefseg.py SRC DST."""
from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import mmrefseg
from mmrefseg.apis.converting import convert_file
from mmrefseg.models.converters import convert_detris

CONFIGS = ('detris_dinov2_refcoco', 'detris_dinov2-large_refcoco', 'detris_dinov2-large_refcoco-mixed')


def parse_args() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description='Convert a checkpoint of the official DETRIS code (https://github.com/jiaqihuang01/DETRIS) for '
        'configs/detris. Size and adapters are found from its weights.')
    parser.add_argument('source', metavar='SRC', help='official checkpoint, of training or weights alone')
    parser.add_argument('target', metavar='DST', help='file to write')
    parser.add_argument('--config', help='config of the model, a path or the name of one in configs/, '
                        'where its settings are not the published ones')
    return parser.parse_args()


def main() -> None:
    """Convert as the command line says."""
    args = parse_args()
    mmrefseg.register_all_modules()
    try:
        names = [args.config] if args.config else CONFIGS
        configs = [name if Path(name).is_file() else mmrefseg.config_path(name) for name in names]
        print(convert_file(args.source, args.target, convert_detris, configs))
    except (ValueError, OSError) as error:
        sys.exit(f'detris_to_mmrefseg: {error}')


if __name__ == '__main__':
    main()
