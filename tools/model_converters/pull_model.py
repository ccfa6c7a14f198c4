"""Get a shared model from the Hugging Face hub: pull_model.py hf:OWNER/NAME --out DIR."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mmrefseg.apis import command_line
from mmrefseg.apis.sharing import HUB, pull, read_model_folder
from mmrefseg.errors import InputError


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Get config.json, model.safetensors and README.md of a shared model, and look at them: they are '
                    'data, and nothing in them runs.',
        epilog="example: %(prog)s hf:me/sera-tiny --out models/sera-tiny")
    parser.add_argument('name', metavar='hf:OWNER/NAME', help='with @REVISION behind it where it is not the newest')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to put it into')
    return parser


def pull_model(args: Namespace) -> None:
    """Download a shared model and check that it loads."""
    if not args.name.startswith(HUB):
        raise InputError(f'{args.name!r} is no name on the hub: write {HUB}owner/name')
    folder = pull(args.name, args.out)
    read_model_folder(folder)
    print(f'{folder}: RefSegInferencer({folder!r}) loads it')


def main() -> None:
    """Fetch as the command line says."""
    command_line.run(make_parser(), pull_model)


if __name__ == '__main__':
    main()
