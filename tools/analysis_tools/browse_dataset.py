"""Look at samples of a data set before and after the pipeline, with their expressions."""
from __future__ import annotations

import random
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.registry import DefaultScope
from rich.progress import track

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, read_config
from mmrefseg.datasets import LoadReferringImage, LoadReferringMask
from mmrefseg.datasets.dataset_configs import config_of_split
from mmrefseg.datasets.seeding import SampleIndex
from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS
from mmrefseg.structures import RefSegDataSample
from mmrefseg.utils.files import check_writable
from mmrefseg.visualization import Pair, Panel, draw_pairs

PER_PICTURE = 12


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Write pictures SPLIT_1.png, SPLIT_2.png, ... of samples drawn at random: each as it is stored, '
                    'with all its expressions, and beside it as the model gets it, with the expression that goes '
                    'along. What is not the referent is faded.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--split', default='train',
                        help='split to look at: train, with the pipeline of the training, or one such as val of the '
                             'data set that the config tests on, with its pipeline (default: train)')
    parser.add_argument('--number', type=int, default=PER_PICTURE,
                        help=f'number of samples; {PER_PICTURE} make a picture (default: {PER_PICTURE})')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of the choice of samples and of random transforms (default: 0)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for the pictures')
    add_cfg_options(parser, 'train_dataloader.dataset.data_root=DIR')
    return parser


def choose(total: int, number: int, seed: int) -> list[int]:
    """Places of samples drawn at random, in order, none of them twice.

    Raises:
        InputError: the number or the total is below 1.
    """
    if number < 1 or total < 1:
        raise InputError(f'at least one sample must be drawn from at least one, got {number} from {total}')
    return sorted(random.Random(seed).sample(range(total), min(number, total)))


def before(info: dict[str, Any]) -> Panel:
    """The sample as it is stored."""
    loaded = LoadReferringMask().transform(LoadReferringImage().transform(dict(info)))
    texts = [info['text']] if 'text' in info else [sentence['text'] for sentence in info['sentences']]
    return Panel(loaded['img'], loaded['gt_seg_map'], ' / '.join(texts))


def after(item: dict[str, Any]) -> Panel:
    """The sample as the model gets it."""
    sample, pixels = item['data_samples'], item['inputs'].numpy().transpose(1, 2, 0)
    image = np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return Panel(image, _mask(sample, image.shape[:2]), sample.text)


def _mask(sample: RefSegDataSample, shape: tuple[int, int]) -> np.ndarray:
    """The mask in the frame of the input; in testing it has that of the original image."""
    mask = sample.gt_sem_seg.data[0].numpy().astype(np.uint8)
    if mask.shape == shape:
        return mask
    return cv2.warpAffine(mask, sample.warp_matrix, shape[::-1], flags=cv2.INTER_NEAREST)


def load_pairs(dataset: Any, indices: Sequence[int], seed: int) -> list[Pair]:
    """Samples of any data set whose infos are those of mmrefseg.

    Raises:
        MissingInputError: an image is missing.
        InputError: an image or a mask is broken.
    """
    pairs = []
    for idx in track(indices, 'samples'):
        info = dataset.get_data_info(idx)
        item = dataset[SampleIndex(idx, (seed, 0, idx))]
        origin = f'ref {info["ref_id"]}: {info["width"]}x{info["height"]}, {Path(info["img_path"]).name}'
        pairs.append(Pair(before(info), after(item), origin))
    return pairs


def browse(args: Namespace) -> list[Path]:
    """Write the pictures; returns their paths.

    Raises:
        InputError: the config, the split or a sample is not as it should be.
        FileError: a file is missing, or ``out`` cannot be written.
    """
    config = read_config(args.config, args.cfg_options, needs_model=False)
    check_writable(args.out)
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        dataset = DATASETS.build(config_of_split(config, args.split))
        pairs = load_pairs(dataset, choose(len(dataset), args.number, args.seed), args.seed)
    paths = []
    for start in range(0, len(pairs), PER_PICTURE):
        paths.append(args.out / f'{args.split}_{start // PER_PICTURE + 1}.png')
        draw_pairs(pairs[start:start + PER_PICTURE], paths[-1])
    return paths


def main() -> None:
    """Browse as the command line says."""
    command_line.run(make_parser(), lambda args: print('\n'.join(map(str, browse(args)))))


if __name__ == '__main__':
    main()
