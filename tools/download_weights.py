"""Download the pretrained weights that configs ask for: tools/download_weights.py CONFIG..."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import read_config
from mmrefseg.checkpoints.mmengine_readers import downloaded_path
from mmrefseg.checkpoints.pretrained import is_address, is_tag, source_of, weight_files
from mmrefseg.errors import FileError, UserError
from mmrefseg.utils.file_download import download, remote_file, verify_download
from mmrefseg.utils.files import check_writable


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Download the pretrained weights that configs ask for, into the places they name. A download that '
        'was interrupted goes on where it stopped; a file that is there is checked against the size and SHA-256 that '
        'its server tells.')
    parser.add_argument('configs', nargs='+', help='config files, or names of configs of mmrefseg')
    parser.add_argument('--list', action='store_true', help='say which files are needed and where they are from')
    return parser


def needed_files(configs: list[str]) -> list[str]:
    """The paths, addresses and tags of all pretrained weights of the configs, each once."""
    return list(dict.fromkeys(file for config in configs for _, file in weight_files(read_config(config).model)))


def is_missing(file: str) -> bool:
    """Whether it is a local file, and not there."""
    return not (is_address(file) or is_tag(file) or Path(file).is_file())


def file_line(file: str) -> str:
    """One line on a file: whether it is there, and where it is from."""
    if file.startswith(('http://', 'https://')):
        path = downloaded_path(file)
        return f'{file} is ' + (f'there, in {path}' if path.is_file() else f'downloaded by training, to {path}')
    if is_address(file) or is_tag(file):
        return f'{file} is downloaded by training'
    state = 'is missing' if is_missing(file) else 'is there'
    return f'{file} {state}; from {source_of(file) or "a place that mmrefseg does not know"}'


def get_weights(file: str) -> None:
    """Download one file, or make sure that the one that is there is what its server has."""
    address, note = source_of(file), ''
    if address and is_missing(file):
        check_writable(Path(file).parent)
        download(address, file, remote_file(address).sha256)
    elif address:
        try:
            expected = remote_file(address)
        except FileError as error:
            note = f'; not verified, as the server could not be asked: {error}'
        else:
            verify_download(file, expected)
    print(file_line(file) + note)


def download_all(args: Namespace) -> bool:
    """Download, or list; returns whether any file is missing in the end."""
    files = needed_files(args.configs)
    if not files:
        print('no pretrained weights are needed')
    try:
        for file in files:
            print(file_line(file)) if args.list else get_weights(file)
    except UserError as error:
        raise UserError('\n'.join((str(error), *(file_line(file) for file in files if is_missing(file))))) from error
    return not args.list and any(map(is_missing, files))


def main() -> None:
    """Download, or list, as the command line says."""
    command_line.run(make_parser(), download_all, interrupted='interrupted; the same command goes on where it stopped')


if __name__ == '__main__':
    main()
