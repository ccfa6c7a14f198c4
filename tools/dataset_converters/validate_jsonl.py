"""Check annotations in JSON Lines before training on them: tools/dataset_converters/validate_jsonl.py FILE..."""
from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from mmrefseg.datasets.preparation import validate


def parse_args() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        description='Check files in JSON Lines: every line, every image, every mask. The format is documented at '
        'mmrefseg.datasets.JSONLinesDataset.',
        epilog='Exit status: 0 if all is well; 1 if any line is broken, or a file cannot be read.')
    parser.add_argument('files', nargs='+', metavar='FILE', help='such as data/mine/annotations/train.jsonl')
    parser.add_argument('--images', metavar='DIR', help='folder of the images (default: images/ beside annotations/)')
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)), metavar='N',
                        help='processes (default: all cores)')
    return parser.parse_args()


def main() -> None:
    """Check the files and tell what is broken."""
    args = parse_args()
    any_broken = False
    for file in args.files:
        try:
            number, troubles = validate(file, args.images, args.workers, show_progress=True)
        except (ValueError, OSError) as error:
            sys.exit(f'validate_jsonl: {error}')
        except KeyboardInterrupt:
            sys.exit('\nvalidate_jsonl: interrupted')
        any_broken |= bool(troubles)
        print('\n'.join((*troubles, f'{file}: {number} lines, {len(troubles)} broken')))
    sys.exit(int(any_broken))


if __name__ == '__main__':
    main()
