"""Make JSON Lines of what a tool wrote: tools/dataset_converters/import_annotations.py FORMAT SRC --out DIR"""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmrefseg.apis import command_line
from mmrefseg.datasets.importing import FORMATS, Options, import_annotations, parse_shares
from mmrefseg.utils.text_formatting import counted

_TOLD = 10


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Make a folder of images and JSON Lines, which JSONLinesDataset reads, of what an annotation tool '
        'wrote. The source is not changed; the folder is written whole or not at all.')
    parser.add_argument('format', choices=FORMATS,
                        help="coco: COCO JSON (CVAT, Roboflow and many others); cvat: CVAT's XML; labelme; "
                             'label-studio: its JSON; yolo: segmentation folders of Ultralytics and Roboflow; '
                             "table: CSV or Parquet of image, mask and expression; refcoco: refs and instances.json")
    parser.add_argument('source', metavar='SRC', help='the exported file or folder')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='the folder to make')
    parser.add_argument('--images', type=Path, metavar='DIR', help='folder that holds the images (default: SRC)')
    parser.add_argument('--expression', metavar='FIELD',
                        help='where the expression stands, such as attributes.expression, caption, description, label '
                             'or category (default: the first of these that holds words)')
    parser.add_argument('--boxes', action='store_true', help='take boxes as masks where there is no outline')
    parser.add_argument('--in-shares', action='store_true',
                        help="coordinates are shares of the image's sides, 0 to 1, where the format has pixels")
    parser.add_argument('--split', nargs='+', metavar='NAME=SHARE',
                        help="split the images anew (default: the source's splits, else train=0.8 val=0.1 test=0.1)")
    parser.add_argument('--seed', type=int, default=0, help='of the splits (default: 0)')
    parser.add_argument('--group', metavar='REGEX',
                        help="images in whose names it finds the same stay in one split, such as '^(.*)_frame'")
    parser.add_argument('--stored', action='store_true',
                        help='masks were drawn on photos as they are stored, not upright, where sizes do not tell')
    parser.add_argument('--keep-apart', action='store_true',
                        help='keep objects apart of which the same is said, instead of uniting their masks')
    parser.add_argument('--skip-broken', action='store_true', help='leave out broken elements instead of refusing')
    return parser


def convert(args: Namespace) -> None:
    """Import as the command line says, and tell what was made."""
    shares = parse_shares(args.split) if args.split else None
    made = import_annotations(args.format, args.source, args.out,
                              Options(args.expression, args.boxes, args.in_shares), args.images, shares, args.seed,
                              args.group, args.stored, args.keep_apart, args.skip_broken)
    for split, numbers in made.splits.items():
        print(f'{split}: ' + ', '.join(counted(number, what.removesuffix('s')) for what, number in numbers.items()))
    for what, count in made.notes.items():
        print(f'note: {count} {what}')
    if list(made.splits) == ['train']:
        print('note: all images are in the split train, so that none is left to test on; import again with --split '
              'train=0.8 val=0.1 test=0.1 to split them anew')
    if made.broken:
        print(f'left out: {counted(len(made.broken), "broken element")}')
        print('\n'.join(f'  {message}' for message in made.broken[:_TOLD]))
    print(f'{args.out} is ready; look at it: mmrefseg inspect {args.out}')


def main() -> None:
    """Import as the command line says."""
    command_line.run(make_parser(), convert)


if __name__ == '__main__':
    main()
