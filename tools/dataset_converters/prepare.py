"""Prepare a data set for training: tools/dataset_converters/prepare.py NAME --src DIR... --out DIR."""
from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from rich.console import Console
from rich.table import Table

from mmrefseg.apis import command_line
from mmrefseg.datasets.preparation import RECIPES, fetch, prepare, read_manifest, verify
from mmrefseg.errors import InputError
from mmrefseg.utils.collect_env import usable_cores

LEFT_OUT = 3
"""Exit status if entries were left out."""
SHOWN_TROUBLES = 20
"""Troubles to show."""


def make_parser(name: str | None) -> ArgumentParser:
    """The command line, which says the name of the data set unless it is known."""
    parser = ArgumentParser(
        description='Prepare a data set: find its files, also in zip archives, check every image, mask and count, and '
        'write annotations in JSON Lines (and with --lmdb an LMDB file) that open at once.',
        epilog=f'Exit status: 0 all is well; {LEFT_OUT} prepared, but for broken entries; 1 not prepared, or not well; '
        '130 interrupted. A preparation that was stopped, by whatever, goes on with the same command.')
    if name is None:
        parser.add_argument('name', choices=RECIPES, metavar='NAME', help=', '.join(RECIPES))
    else:
        parser.set_defaults(name=name)
    parser.add_argument('--src', nargs='+', default=[], metavar='DIR',
                        help='folders that hold annotations and images; needed unless --out is prepared')
    parser.add_argument('--download', action='store_true',
                        help='get first what is missing of a public data set, into the first folder of --src')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to fill')
    parser.add_argument('--lmdb', action='store_true', help='put images and annotations into one LMDB file')
    parser.add_argument('--verify', action='store_true', help='read everything again')
    parser.add_argument('--skip-broken', action='store_true',
                        help='leave broken entries out, and list them in broken.json')
    parser.add_argument('--ignore-orientation', action='store_true',
                        help='of jsonl: masks were made on the images as they are stored, not on the upright ones that '
                             'an EXIF orientation makes of them')
    parser.add_argument('--workers', type=int, default=usable_cores(), metavar='N',
                        help='processes (default: all cores)')
    return parser


def print_summary(args: Namespace, manifest: dict, troubles: list[str] | None) -> None:
    """The table of what is there, and what is wrong with it."""
    published = RECIPES[args.name].counts
    table = Table('split', title=f'{args.name} in {args.out}')
    columns = ('refs', 'images', 'expressions', 'broken')
    for column in (*columns, 'as published'):
        table.add_column(column, justify='right')
    for split, counts in manifest['splits'].items():
        expected = published[split]._asdict() if split in published else {}
        known = [counts[column] == number for column, number in expected.items() if number is not None]
        table.add_row(split, *(f'{counts[column]:,}' for column in columns),
                      'unknown' if not known else 'yes' if all(known) else 'no')
    Console(markup=False, emoji=False).print(table)
    for warning in manifest['warnings']:
        print(f'WARNING: {warning}', file=sys.stderr)
    if troubles:
        more = [f'... and {len(troubles) - SHOWN_TROUBLES} more'] if len(troubles) > SHOWN_TROUBLES else []
        raise InputError('\n'.join((*troubles[:SHOWN_TROUBLES], *more, f'{args.out} is not well (troubles: '
                                    f'{len(troubles)}). Bring its files back as they were, or delete it and prepare it '
                                    'again.')))
    if troubles is not None:
        print('verified: every checksum, image, mask and count holds')


def prepare_and_verify(args: Namespace) -> int | None:
    """Download, prepare, verify and print what is there; returns the exit status."""
    if args.download:
        fetch(args.name, args.src)
    made = prepare(args.name, args.src, args.out, args.lmdb, args.skip_broken, args.workers, show_progress=True,
                   ignore_orientation=args.ignore_orientation)
    troubles = verify(args.out, args.workers, show_progress=True) if args.verify else None
    manifest = read_manifest(args.out)
    print_summary(args, manifest, troubles)
    print(f'{args.name} is {"prepared" if made else "prepared already: nothing to do"}')
    broken = sum(counts['broken'] for counts in manifest['splits'].values())
    if broken:
        print(f'{broken} broken entries were left out: see {args.out}/broken.json', file=sys.stderr)
    return LEFT_OUT if broken else None


def main(name: str | None = None) -> None:
    """Prepare, and verify, as the command line says."""
    command_line.run(make_parser(name), prepare_and_verify,
                     interrupted='interrupted; the same command goes on where it stopped')


if __name__ == '__main__':
    main()
