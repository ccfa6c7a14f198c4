"""Share a model: push_model.py CONFIG WEIGHTS hf:OWNER/NAME, or a folder instead."""
from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.apis.official_weights import load_any_checkpoint
from mmrefseg.apis.sharing import HUB, push, write_model_folder
from mmrefseg.apis.sharing.model_card import write_card
from mmrefseg.apis.sharing.plain_config import flatten


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Write config.json (the config as data, flattened to one file), model.safetensors and README.md (a '
                    "card from the config's metafile) to the Hugging Face hub or into a folder. All weights go along, "
                    'also the pretrained ones: see that their licence allows it.',
        epilog='example: %(prog)s sera_tiny_refshapes work_dirs/quickstart/iter_600.pth hf:me/sera-tiny')
    parser.add_argument('config', metavar='CONFIG', help='path of a config, or the name of one in configs/')
    parser.add_argument('weights', metavar='WEIGHTS', help='checkpoint that was trained with this config, or an '
                                                           'official one of DETRIS or CRIS')
    parser.add_argument('target', metavar='TARGET', help='hf:OWNER/NAME, or a folder')
    parser.add_argument('--metrics', metavar='FILE', help='metrics.json of mmrefseg test, whose figures the card tells')
    parser.add_argument('--licence', metavar='ID', help="identifier of the weights' licence, such as apache-2.0")
    parser.add_argument('--private', action='store_true', help='a new repository is seen by its owner only')
    return parser


def share(args: Namespace) -> None:
    """Write the folder, and upload it."""
    config = read_config(args.config)
    flatten(config)  # refuses before anything is loaded
    model = build_model(config)
    load_any_checkpoint(model, args.weights)
    name = args.target.removeprefix(HUB) if args.target.startswith(HUB) else Path(args.target).name
    card = write_card(config, name, args.metrics, args.licence)
    if not args.target.startswith(HUB):
        write_model_folder(config, model, args.target, card)
        print(f'{args.target}: a shared model; RefSegInferencer({args.target!r}) loads it')
        return
    with tempfile.TemporaryDirectory() as folder:
        write_model_folder(config, model, folder, card)
        print(f'{push(folder, args.target, args.private)}: RefSegInferencer({args.target!r}) loads it')


def main() -> None:
    """Share as the command line says."""
    command_line.run(make_parser(), share)


if __name__ == '__main__':
    main()
