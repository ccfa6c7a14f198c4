"""Count what the splits of data sets hold: images, referents, expressions, and how these are distributed."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from mmengine.config import Config
from rich.markup import escape
from rich.progress import track

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, read_config
from mmrefseg.datasets import BaseReferringDataset
from mmrefseg.datasets.dataset_configs import LOADERS, build_unread, dataset_config, referring_configs
from mmrefseg.datasets.expression_kind import EXPRESSION_KINDS, classify_expression
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import draw_mask
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.visualization import draw_statistics

SIZES = (0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
"""Upper bounds of the classes of size, as shares of the image; the first class is that of empty masks."""

Statistics = dict[str, Any]


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Write dataset_stats.json and dataset_stats.png about all splits of the data sets that a config '
                    "names (of a mixture: its sources'): images, referents, expressions, words per expression, kinds "
                    'of expressions, expressions per referent, referents per image, and the share of its image that a '
                    'referent takes up. Kinds are those that the data give; where they give none, lists of words '
                    'tell. Images are not opened.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--splits', nargs='+', help='only these splits, where a data set has them (default: all)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for the two files')
    add_cfg_options(parser, 'train_dataloader.dataset.data_root=DIR')
    return parser


def count_split(dataset: BaseReferringDataset) -> Statistics:
    """Count what one split of a data set holds.

    Raises:
        InputError: a mask cannot be drawn.
    """
    images, kinds, words, expressions, shares = Counter(), Counter(), Counter(), Counter(), []
    for referent in track(dataset.referents(), escape(f'{dataset.title} {dataset.split}')):
        images[dataset.image_key(referent)] += 1
        sentences = referent['sentences']
        expressions[len(sentences)] += 1
        words.update(len(sentence['text'].split()) for sentence in sentences)
        kinds.update(sentence['kind'] or classify_expression(sentence['text']) for sentence in sentences)
        shares.append(area_share(referent))
    return {
        'images': len(images),
        'refs': len(shares),
        'expressions': sum(words.values()),
        'words': in_order(words),
        'kinds': {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: ([*EXPRESSION_KINDS, kind].index(kind),
                                                                                kind))},
        'expressions_per_ref': in_order(expressions),
        'refs_per_image': in_order(Counter(images.values())),
        'size': classes_of(shares),
        'median_size': median(shares) if shares else None,
    }


def area_share(referent: Mapping[str, Any]) -> float:
    """The share of its image that a referent takes up."""
    try:
        return float(draw_mask(referent['segmentation'], referent['height'], referent['width']).mean())
    except InputError as error:
        raise InputError(f'the mask of annotation {referent["ann_id"]} of the image {referent["img_path"]} cannot be '
                         f'drawn: {error}') from error


def classes_of(shares: Sequence[float]) -> dict[str, int]:
    """How many shares each class of size has."""
    counts = Counter(bisect_left(SIZES, share) for share in shares)
    labels = ['none', *(f'{100 * low:g}-{100 * high:g} %' for low, high in pairwise(SIZES))]
    return {label: counts[index] for index, label in enumerate(labels)}


def in_order(counts: Counter[int]) -> dict[int, int]:
    """The counts by ascending value."""
    return dict(sorted(counts.items()))


def collect_statistics(config: Config, splits: Sequence[str] | None) -> dict[str, dict[str, Statistics]]:
    """Data set → split → statistics.

    Raises:
        InputError: the config names no referring data set or none with these splits, or files are broken.
        MissingInputError: files are missing.
    """
    sets: dict[str, dict[str, Statistics]] = {}
    loaders = [loader for loader in LOADERS if config.get(f'{loader}_dataloader')]
    for found in (dataset for loader in loaders
                  for dataset in referring_configs(dataset_config(config, loader), open_mixtures=True)):
        dataset = build_unread(found)
        if dataset.title not in sets:
            there = [split for split in dataset.images_by_split() if split in (splits or [split])]
            sets[dataset.title] = {split: count_split(build_unread(found, split=split)) for split in there}
    if not any(sets.values()):
        raise InputError(f'{config.filename} names no data set of mmrefseg, such as RefCOCODataset'
                         + (f', with a split {" or ".join(splits)}' if splits else ''))
    return {title: found for title, found in sets.items() if found}


def count(args: Namespace) -> None:
    """Count all splits, print the tables and write figures."""
    check_writable(args.out)
    sets = collect_statistics(read_config(args.config, args.cfg_options, needs_model=False), args.splits)
    draw_statistics(sets, args.out / 'dataset_stats.png')
    write_json(sets, args.out / 'dataset_stats.json')
    for title, splits in sets.items():
        for split, found in splits.items():
            print(f'{title} {split}: {found["images"]} images, {found["refs"]} referents, {found["expressions"]} '
                  'expressions')
    print(f'dataset_stats.json and dataset_stats.png are in {args.out}')


def main() -> None:
    """Count as the command line says."""
    command_line.run(make_parser(), count)


if __name__ == '__main__':
    main()
