"""Check annotations in JSON Lines before training on them: tools/dataset_converters/validate_jsonl.py FILE..."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mmrefseg.apis import command_line
from mmrefseg.datasets.preparation import validate
from mmrefseg.utils.collect_env import usable_cores


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Check files in JSON Lines: every line, every image, every mask. The format is documented at '
        'mmrefseg.datasets.JSONLinesDataset.',
        epilog='Exit status: 0 if all is well; 1 if any line is broken, or a file cannot be read.')
    parser.add_argument('files', nargs='+', metavar='FILE', help='such as data/mine/annotations/train.jsonl')
    parser.add_argument('--images', metavar='DIR', help='folder of the images (default: images/ beside annotations/)')
    parser.add_argument('--ignore-orientation', action='store_true',
                        help='masks were made on the images as they are stored, not on the upright ones that an EXIF '
                             'orientation makes of them (as ignore_orientation=True of the data set)')
    parser.add_argument('--workers', type=int, default=usable_cores(), metavar='N',
                        help='processes (default: all cores)')
    return parser


def check(args: Namespace) -> bool:
    """Check the files and print what is broken; returns whether anything is."""
    any_broken = False
    for file in args.files:
        number, troubles = validate(file, args.images, args.workers, True, args.ignore_orientation)
        any_broken |= bool(troubles)
        print('\n'.join((*troubles, f'{file}: {number} lines, {len(troubles)} broken')))
    return any_broken


def main() -> None:
    """Check the files as the command line says."""
    command_line.run(make_parser(), check)


if __name__ == '__main__':
    main()
