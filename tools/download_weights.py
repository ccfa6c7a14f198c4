"""Download the pretrained weights that configs ask for: tools/download_weights.py CONFIG..."""
from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmrefseg.apis.building import read_config
from mmrefseg.utils.pretrained import download, published_sha256, source_of, weight_files


def parse_args() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description='Download the pretrained weights that configs ask for, into the places they name. A download that '
        'was interrupted goes on where it stopped; a file that is there is left alone.')
    parser.add_argument('configs', nargs='+', help='config files, or names of configs of mmrefseg')
    parser.add_argument('--list', action='store_true', help='say which files are needed and where they are from')
    return parser.parse_args()


def needed_files(configs: list[str]) -> list[str]:
    """The paths of all pretrained weights of the configs, each once."""
    return list(dict.fromkeys(file for config in configs for file in weight_files(read_config(config).model)))


def describe(file: str) -> str:
    """One line on a file: whether it is there, and where it is from."""
    state = 'is there' if Path(file).is_file() else 'is missing'
    return f'{file} {state}; from {source_of(file) or "a place that mmrefseg does not know"}'


def fetch(file: str) -> None:
    """Download one file unless it is there."""
    address = source_of(file)
    if address and not Path(file).is_file():
        download(address, file, published_sha256(address))
    print(describe(file))


def main() -> None:
    """Download, or list, as the command line says."""
    args = parse_args()
    files: list[str] = []
    try:
        files += needed_files(args.configs)
        if not files:
            print('no pretrained weights are needed')
        for file in files:
            print(describe(file)) if args.list else fetch(file)
    except (ValueError, OSError) as error:
        missing = [describe(file) for file in files if not Path(file).is_file()]
        sys.exit('\n'.join((f'download_weights: {error}', *missing)))
    except KeyboardInterrupt:
        sys.exit('\ndownload_weights: interrupted; the same command goes on where it stopped')


if __name__ == '__main__':
    main()
