"""Answer expressions about many images: predict.py CONFIG WEIGHTS INPUT ... --expressions TEXT --out DIR."""
from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmrefseg.apis import command_line
from mmrefseg.apis.inference.model_loading import brings_weights, identity_of, load_inferencer
from mmrefseg.apis.predicting import AnswerSettings, ShardFolder, predict_shards, read_expressions, read_tasks
from mmrefseg.apis.predicting.coco_annotations import coco_of
from mmrefseg.apis.predicting.predict_shards import SAVED_PICTURES
from mmrefseg.apis.predicting.shard_folder import COCO, PREDICTIONS, UNREADABLE
from mmrefseg.errors import InputError
from mmrefseg.utils.files import check_writable, write_atomically
from mmrefseg.utils.launched_processes import launchers_number


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Answer expressions about many images into DIR/predictions.jsonl, which mmrefseg evaluate reads. '
                    'What cannot be read is listed in DIR/unreadable.jsonl. Processes of torchrun, on one machine or '
                    'several with a common DIR, share the work; the last one joins it.',
        epilog='example: %(prog)s sera_tiny_refshapes work_dirs/quickstart/iter_600.pth photos --expressions '
               '"the red car" "the dog" --out answers')
    parser.add_argument('model', metavar='CONFIG', help='path of a config, or the name of one in configs/; or a folder '
                                                        'of mmrefseg push or export, or hf:owner/name: then no WEIGHTS')
    parser.add_argument('inputs', metavar='[WEIGHTS] INPUT', nargs='+',
                        help='a checkpoint of this config, or an official one of DETRIS or CRIS; then images, '
                             'addresses, folders, patterns in quotes, lists of images (.txt), JSON Lines (.jsonl) of '
                             'image and expression or expressions')
    parser.add_argument('--expressions', nargs='+', default=[], metavar='TEXT|FILE',
                        help='asked of each image that brings none: texts, or files with one per line')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the answers')
    parser.add_argument('--images', metavar='DIR',
                        help="folder that names in lists and JSON Lines are relative to (default: the list's own)")
    parser.add_argument('--trust-lists', action='store_true',
                        help='fetch addresses in lists and JSON Lines from private networks and by proxies, too, as '
                             'those on the command line are (default: from the internet alone)')
    parser.add_argument('--save', nargs='+', default=[], choices=(*SAVED_PICTURES, 'coco'),
                        help='also: a mask of each answer as PNG, a picture with the mask drawn on it, all masks in '
                             f"COCO's format as {COCO}")
    parser.add_argument('--resume', action='store_true', help='go on where an earlier run of the same command ended')
    parser.add_argument('--threshold', type=float, help="probability that a pixel of a mask exceeds (default: the "
                                                        "config's)")
    parser.add_argument('--batch-size', type=int, default=8, help='expressions at once (default: %(default)s)')
    parser.add_argument('--images-per-shard', type=int, default=100, metavar='N',
                        help='how many images are answered before they are kept (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=2, help='threads that read images ahead (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='such as cpu or cuda:1 (default: a GPU if there is one, of '
                                                         'several one per process)')
    parser.add_argument('--dtype', default='float32', choices=('auto', 'float32', 'bfloat16', 'float16'),
                        help='in which the model computes (default: %(default)s, in which it is evaluated)')
    return parser


def own_device(device: str) -> str:
    """The GPU of this process where several share a machine's."""
    if device == 'auto' and torch.cuda.is_available():
        return f'cuda:{launchers_number("LOCAL_RANK") % torch.cuda.device_count()}'
    return device


def answer_settings(args: Namespace) -> dict[str, str | float | list[str] | None]:
    """What answers depend on beside the questions."""
    return dict(identity_of(args.model, args.weights), threshold=args.threshold, dtype=args.dtype,
                save=[kind for kind in args.save if kind != 'coco'])


class Told:
    """Says how far this process is."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._begin = progress, monotonic()
        self._bar = progress.add_task('', total=total, images=0.0)
        self.images = self.answers = self.unreadable = 0

    def add(self, images: int, answers: int, unreadable: int) -> None:
        """Count the images and answers of a finished shard."""
        self.images, self.answers = self.images + images, self.answers + answers
        self.unreadable += unreadable
        self._progress.update(self._bar, advance=1, images=self.per_second())

    def per_second(self) -> float:
        """Images per second since the beginning."""
        return self.images / max(monotonic() - self._begin, 1e-9)


def predict(args: Namespace) -> None:
    """Answer what is this process's, and join all if it is the last.

    Raises:
        InputError: nothing is asked, a number is out of range, or the folder holds other answers.
        FileError: the folder cannot be written.
    """
    rank, world_size = launchers_number('RANK'), launchers_number('WORLD_SIZE', 1)
    if rank >= world_size:
        raise InputError(f'the environment says that this is process {rank} of {world_size}, counted from 0 (RANK and '
                         'WORLD_SIZE). Without a launcher, remove both')
    if args.images_per_shard < 1:
        raise InputError(f'--images-per-shard must be at least 1, got {args.images_per_shard}')
    args.weights = None if brings_weights(args.model) else args.inputs.pop(0)
    if not args.inputs:
        raise InputError('name images behind CONFIG and WEIGHTS')
    out = Path(args.out)
    check_writable(out)
    expressions = read_expressions(args.expressions)
    folder = ShardFolder(out, partial(read_tasks, args.inputs, expressions, args.images, args.trust_lists),
                         answer_settings(args), args.images_per_shard)
    # torchrun starts all processes again when one has ended.
    resume = args.resume or launchers_number('TORCHELASTIC_RESTART_COUNT') > 0
    pending = folder.pending(rank, world_size, resume)
    if pending:
        answer_shards(args, folder, pending, rank)
    if missing := folder.missing():
        print(f'process {rank}: done; {len(missing)} of {len(folder)} shards are not there yet. The process that '
              'writes the last one joins them; if it was killed, run the command again with --resume')
    else:
        join(args, folder)


def answer_shards(args: Namespace, folder: ShardFolder, pending: list[int], rank: int) -> None:
    """Load the model and answer shards."""
    ask = load_inferencer(args.model, args.weights, own_device(args.device), args.dtype)
    settings = AnswerSettings(tuple(kind for kind in args.save if kind != 'coco'), args.batch_size, args.threshold,
                              args.workers)
    columns = (TextColumn('shards'), BarColumn(), MofNCompleteColumn(),
               TextColumn('{task.fields[images]:.1f} images/s'), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=rank > 0) as progress:
        told = Told(progress, len(pending))
        predict_shards(ask, folder, pending, settings, told.add)
    print(f'process {rank}: {told.answers} answers about {told.images - told.unreadable} images, {told.unreadable} '
          f'unreadable, {told.per_second():.1f} images per second')


def join(args: Namespace, folder: ShardFolder) -> None:
    """Make one file of all shards."""
    merged = folder.merge()
    if 'coco' in args.save:
        answers: Iterator[dict] = folder.answers()
        write_atomically(json.dumps(coco_of(answers)).encode(), folder.folder / COCO)
    print(f'{folder.folder / PREDICTIONS}: {merged.answers} answers about {merged.images} images')
    if merged.unreadable:
        print(f'{folder.folder / UNREADABLE}: {merged.unreadable} images that could not be read, and why')


def main() -> None:
    """Predict as the command line says."""
    command_line.run(make_parser(), predict, 'interrupted; go on with --resume')


if __name__ == '__main__':
    main()
