"""Measure how fast a config's training samples are made, beside a floor and the published design."""
from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from itertools import islice
from multiprocessing import active_children
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from benchmarking.coco_like import write_coco_like
from benchmarking.make_lmdb import write_lmdb
from benchmarking.published_loader import PublishedLoader, write_published_lmdb
from benchmarking.reporting import add_out_argument, check_least, circumstances, measure_and_show
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, read_config
from mmrefseg.datasets import BaseReferringDataset, ReferringLMDBDataset
from mmrefseg.datasets.json_line_format import line_of
from mmrefseg.datasets.transforms.loading import image_bytes
from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS
from mmrefseg.structures.mask_formats import draw_mask, mask_to_rle
from mmrefseg.utils.collect_env import machine, versions
from mmrefseg.utils.files import check_writable

FLOOR, PIPELINE, FROM_LMDB, PUBLISHED = 'floor', 'pipeline', 'pipeline from LMDB', 'published design'
LOADER_MEANING = {
    FLOOR: 'each image decoded and resized to the input size by OpenCV, and nothing else',
    PIPELINE: "the config's data set and training pipeline",
    FROM_LMDB: 'the same from an LMDB file: each image once, masks as RLE',
    PUBLISHED: 'the loader of CRIS and DETRIS: a pickled copy of image and PNG mask per ref, both warped, normalised',
}


class Floor(Dataset):
    """What every loader must do, and nothing else."""

    def __init__(self, paths: list[str], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        img = cv2.imdecode(np.frombuffer(image_bytes(self.paths[index]), np.uint8), cv2.IMREAD_COLOR)
        return torch.from_numpy(cv2.resize(img, (self.size, self.size)))


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description="Print samples per second of a config's train_dataloader: from its data set, from LMDB, and the "
        'ratios to a floor (JPEG decoding of the same images and one resize) and to the design of the published '
        "loaders, re-enacted on the same samples. All take turns in as many processes. Without data at hand, "
        '--make-data makes some.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--make-data', nargs=2, metavar=('N', 'DIR'), help='measure on made-up data of N images, '
                        '640×480 pixels and 160 KB each, kept in DIR, instead of the data of the config')
    parser.add_argument('--workers', type=int, default=1, help='processes that load; 0: the main one (default: 1)')
    parser.add_argument('--samples', type=int, default=400, help='samples of a round, drawn at random (default: 400)')
    parser.add_argument('--rounds', type=int, default=5, help='rounds that count, after one that does not (default: 5)')
    add_out_argument(parser)
    add_cfg_options(parser, 'train_dataloader.batch_size=16')
    return parser


def use_made_data(config: Config, number: str, folder: str) -> None:
    """Point the config to made-up data, which are made if they are not there.

    Raises:
        InputError: the number is none, or the folder holds something else.
    """
    if not number.isdecimal() or int(number) < 2:
        raise InputError(f'--make-data {number}: the number of images must be a whole number from 2')
    root = Path(folder)
    present = len(list(root.glob('images/*.jpg')))
    if not (root / 'refs(unc).p').is_file() and not any(root.glob('*')):
        check_writable(root)
        write_coco_like(root, int(number))
    elif present != int(number):
        raise InputError(f'{folder} holds other data, or {present} images instead of {number}: name another folder, '
                         'or empty it')
    dataset = config.train_dataloader.dataset
    made = {key: dataset[key] for key in ('unit', 'pipeline') if key in dataset}
    config.train_dataloader.dataset = dict(type='RefCOCODataset', data_root=str(root), split='train', **made)


def build_dataset(config: Config) -> BaseReferringDataset:
    """The data set of the config's train_dataloader.

    Raises:
        InputError: there is none, or it is none of ours.
    """
    if 'train_dataloader' not in config:
        raise InputError(f'{config.filename} has no train_dataloader')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    if not isinstance(dataset, BaseReferringDataset):
        raise InputError(f'the train_dataloader of {config.filename} loads a {type(dataset).__name__}; only data sets '
                         'of referring expressions can be measured')
    return dataset


def write_as_lmdb(root: Path, split: str, referents: list[dict]) -> None:
    """Write referents and their images, each once, as a prepared data set has them."""
    images: dict[str, str] = {}
    lines = []
    for referent in referents:
        name = images.setdefault(referent['img_path'], f'{len(images)}.jpg')
        mask = mask_to_rle(draw_mask(referent['segmentation'], referent['height'], referent['width']))
        lines.append(line_of({**referent, 'image_key': name}, name, mask))
    write_lmdb(root, split, lines, ((name, image_bytes(path)) for path, name in images.items()))


def as_referent(info: dict) -> dict:
    """A sample, whatever its unit, as a referent with the expressions that it may show."""
    sentences = info.get('sentences') or [{key: info[key] for key in ('text', 'sent_id', 'kind')}]
    return {**info, 'sentences': sentences}


def build_datasets(config: Config, samples: int, folder: Path) -> tuple[dict[str, Dataset], dict[str, Any]]:
    """What is measured, all on the same samples, and what these are."""
    dataset = build_dataset(config)
    chosen = np.random.default_rng(0).permutation(len(dataset))[:samples].tolist()
    referents = [as_referent(dataset.get_data_info(idx)) for idx in chosen]
    paths = [referent['img_path'] for referent in referents]
    size = dataset[chosen[0]]['inputs'].shape[-1]
    datasets: dict[str, Dataset] = {FLOOR: Floor(paths, size), PIPELINE: dataset.get_subset(chosen)}
    if not isinstance(dataset, ReferringLMDBDataset):
        write_as_lmdb(folder, dataset.split, referents)
        datasets[FROM_LMDB] = ReferringLMDBDataset(str(folder), dataset.split, unit=dataset.unit,
                                                   pipeline=config.train_dataloader.dataset.get('pipeline', ()))
    write_published_lmdb(folder / 'published.lmdb', referents)
    datasets[PUBLISHED] = PublishedLoader(folder / 'published.lmdb', size)
    return datasets, {
        'data_set': type(dataset).__name__,
        'samples': len(referents),
        'images': len(set(paths)),
        'mean_pixels': float(np.mean([referent['height'] * referent['width'] for referent in referents])),
        'mean_image_bytes': float(np.mean([len(image_bytes(path)) for path in paths])),
        'input_size': size,
    }


def build_loader(config: Config, name: str, dataset: Dataset, workers: int) -> DataLoader:
    """The config's train_dataloader of another data set, with another number of processes and rounds that end."""
    loader = {key: value for key, value in config.train_dataloader.items() if key != 'dataset'}
    loader['sampler'] = dict(type='SeededSampler', shuffle=True)  # an infinite one can be gone through only once
    if name in (FLOOR, PUBLISHED):  # which are not packed as our samples are
        loader['collate_fn'] = dict(type='default_collate')
    return Runner.build_dataloader(
        dict(loader, dataset=dataset, num_workers=workers, persistent_workers=workers > 0), seed=0)


def time_round(loader: DataLoader, batches: int) -> tuple[float, float]:
    """Seconds of the clock and of all processors that some batches take.

    Raises:
        InputError: there are fewer batches.
    """
    start, busy = time.perf_counter(), cpu_seconds()
    number = sum(1 for _ in islice(loader, batches))
    if number < batches:
        raise InputError(f'the train_dataloader gave {number} batches of {batches} in a round: its figures would mean '
                         'nothing. Take its batch_sampler out, with --cfg-options if you like.')
    return time.perf_counter() - start, cpu_seconds() - busy


def cpu_seconds() -> float:
    """What this process and its workers have used so far."""
    ticks = 0
    for child in active_children():
        # Behind the command's closing bracket; user and system time are the 14th and 15th field of all.
        fields = Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf('SC_CLK_TCK')


def measure_loading(config: Config, args: Namespace, folder: Path) -> dict[str, Any]:
    """Measure the loading of training samples; returns all figures.

    Raises:
        InputError: a number is out of range, or the config cannot be measured.
    """
    check_least(args, workers=0, samples=1, rounds=1)
    datasets, data = build_datasets(config, args.samples, folder)
    loaders = {name: build_loader(config, name, dataset, args.workers) for name, dataset in datasets.items()}
    batches = data['samples'] // config.train_dataloader.batch_size
    if not batches:
        raise InputError(f'{data["samples"]} samples make no batch of {config.train_dataloader.batch_size}: set '
                         '--samples higher, or train_dataloader.batch_size lower')
    seconds = {name: [] for name in loaders}
    for _ in range(1 + args.rounds):
        for name, loader in loaders.items():  # in turn, so that what else the machine does slows all alike
            seconds[name].append(time_round(loader, batches))
    loaded = batches * config.train_dataloader.batch_size
    return {
        'config': str(args.config),
        **data,
        'workers': args.workers,
        'rounds': args.rounds,
        'speed': {name: speed(values[1:], loaded) for name, values in seconds.items()},
        'machine': machine(),
        'versions': {**versions(), 'opencv': cv2.__version__},
    }


def speed(rounds: list[tuple[float, float]], samples: int) -> dict[str, float]:
    """Samples per second, and milliseconds of processor time per sample, of rounds."""
    clock, busy = zip(*rounds, strict=True)
    return {
        'samples_per_second': samples / min(clock),
        'median_samples_per_second': samples / median(clock),
        'cpu_ms': 1e3 * min(busy) / samples,
    }


def loading_text(figures: dict[str, Any]) -> str:
    """The figures of loading as text."""
    rows = figures['speed']
    floor, published = rows[FLOOR], rows[PUBLISHED]
    lines = [
        f'{figures["samples"]} samples of {figures["data_set"]} on {figures["images"]} images '
        f'({figures["mean_pixels"] / 1e3:.0f} thousand pixels, {figures["mean_image_bytes"] / 1e3:.0f} KB on average), '
        f'input {figures["input_size"]}×{figures["input_size"]}, {figures["workers"]} worker(s)',
        f'{"":20}{"samples/s":>11}{"(median)":>10}{"CPU ms":>9}{"of floor":>10}{"by CPU":>8}{"× published":>13}'
        f'{"by CPU":>8}'
    ]
    for name, row in rows.items():
        rate, busy = row['samples_per_second'], row['cpu_ms']
        lines.append(
            f'{name:20}{rate:11.1f}{row["median_samples_per_second"]:10.1f}{busy:9.2f}'
            f'{rate / floor["samples_per_second"]:10.2f}{floor["cpu_ms"] / busy:8.2f}'
            f'{rate / published["samples_per_second"]:13.2f}{published["cpu_ms"] / busy:8.2f}')
    return '\n'.join([
        *lines, f'Fastest of {figures["rounds"]} rounds; CPU: processor time of a sample, workers and main process.',
        *(f'{name}: {LOADER_MEANING[name]}' for name in rows),
        *circumstances(figures),
    ])


def benchmark_data(args: Namespace) -> None:
    """Measure the loading, print the figures and write them."""
    cv2.setNumThreads(0)  # as the Runner does: every worker is one process on one core
    torch.set_num_threads(1)
    config = read_config(args.config, args.cfg_options)
    if args.make_data:
        use_made_data(config, *args.make_data)
    with TemporaryDirectory() as folder, DefaultScope.overwrite_default_scope('mmrefseg'):
        measure_and_show(lambda: measure_loading(config, args, Path(folder)),
                         lambda figures: print(loading_text(figures)), args.out)


def main() -> None:
    """Measure as the command line says."""
    command_line.run(make_parser(), benchmark_data)


if __name__ == '__main__':
    main()
