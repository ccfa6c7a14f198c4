"""Make a file to publish of a checkpoint: its weights and what describes them, named after its SHA-256."""
from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from torch import Tensor

from mmrefseg.apis import command_line
from mmrefseg.checkpoints.module_weights import checkpoint_bytes
from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.errors import InputError
from mmrefseg.utils.files import write_atomically


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description=f'{__doc__} Optimizer, schedules, message hub and the weights beside averaged ones are left out; '
                    'a checkpoint of only what was trained stays one.',
        epilog='example: %(prog)s work_dirs/sera/epoch_65.pth sera.pth writes something like sera-1a2b3c4d.pth')
    parser.add_argument('src', metavar='SRC', help='checkpoint, or a file of plain weights')
    parser.add_argument('dst', metavar='DST', type=Path, help='file to write, ending in .pth; before the ending come '
                                                              "the first 8 digits of the file's SHA-256")
    return parser


def checkpoint_to_publish(src: str) -> dict:
    """What of a checkpoint is published.

    Raises:
        MissingInputError: there is no such file.
        InputError: it isn't a checkpoint.
    """
    checkpoint = load_from_local(src, map_location='cpu')
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict) or not any(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f'{src} is no checkpoint: it has no state_dict with weights')
    return {'meta': checkpoint.get('meta') or {}, 'state_dict': weights}


def publish(args: argparse.Namespace) -> None:
    """Write the file to publish."""
    if args.dst.suffix != '.pth':
        raise InputError(f'the name of the file to write must end in .pth, got {args.dst}')
    content = checkpoint_bytes(checkpoint_to_publish(args.src))
    path = args.dst.with_stem(f'{args.dst.stem}-{hashlib.sha256(content).hexdigest()[:8]}')
    write_atomically(content, path)
    print(f'The file to publish is {path}')


def main() -> None:
    """Publish as the command line says."""
    command_line.run(make_parser(), publish)


if __name__ == '__main__':
    main()
