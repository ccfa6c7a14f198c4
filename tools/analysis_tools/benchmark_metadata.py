"""Measure what the annotations of large data sets cost in time and memory, before any image is opened."""
from __future__ import annotations

import os
import resource
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarking.coco_like import write_coco_like
from benchmarking.make_lmdb import write_lmdb
from benchmarking.phrasecut_like import write_phrasecut_like
from benchmarking.reporting import add_out_argument, check_least, circumstances, measure_and_show
from pycocotools import mask as mask_utils
from torch.utils.data import DataLoader, Dataset

from mmrefseg.apis import command_line
from mmrefseg.datasets import BaseReferringDataset, PhraseCutDataset, RefCOCODataset, ReferringLMDBDataset
from mmrefseg.datasets.json_line_format import line_of
from mmrefseg.errors import InputError
from mmrefseg.utils.collect_env import machine, versions


class Sizes(NamedTuple):
    """A data set of a published one's size.

    Args:
        dataset: its class.
        splits: its splits; the first is by far the largest.
        write: writes so many images' annotations into a folder.
        images: how many the published one has.
    """

    dataset: type[BaseReferringDataset]
    splits: tuple[str, ...]
    write: Callable[[Path, int], object]
    images: int


def write_refcoco_like(root: Path, images: int) -> None:
    """RefCOCO's files without pictures."""
    write_coco_like(root, images, pictures=False)


SETS = {
    'refcoco': Sizes(RefCOCODataset, ('train', 'val', 'testA', 'testB'), write_refcoco_like, 19_994),
    'phrasecut': Sizes(PhraseCutDataset, ('train', 'val', 'test'), write_phrasecut_like, 77_262),
}
METADATA_MEANING = {
    'build': "all splits from the official files' formats",
    'open': 'all splits from one LMDB file each, and the first sample of each read',
    'worker': 'what each further worker process adds to the memory of all once it has made every sample of train',
}


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description="Print seconds and memory of the metadata of data sets of RefCOCO's and PhraseCut's size (142,000 "
        'and 348,000 expressions), which are made up: building them from the official formats, opening them prepared, '
        'and what a worker process adds. Linux only.')
    parser.add_argument('sets', nargs='*', metavar='SET', help=f'some of {", ".join(SETS)} (default: all)')
    parser.add_argument('--images', type=int, help='images of each (default: as many as the published one)')
    parser.add_argument('--workers', type=int, default=2, help='worker processes, against one (default: 2)')
    add_out_argument(parser)
    return parser


def alone(function: Callable, *arguments: Any) -> Any:
    """Call in a process of its own, whose memory is its own, too."""
    with ProcessPoolExecutor(1, get_context('fork')) as pool:
        return pool.submit(function, *arguments).result()


def build_splits(root: Path, sizes: Sizes) -> dict[str, float]:
    """Read all splits from the official files."""
    before, start, busy = peak_mb(), time.perf_counter(), time.process_time()
    datasets = [sizes.dataset(str(root), split=split) for split in sizes.splits]
    return {'expressions': sum(map(len, datasets)), 'seconds': time.perf_counter() - start,
            'cpu_seconds': time.process_time() - busy, 'peak_mb': peak_mb(), 'empty_mb': before}


def write_lmdb_splits(root: Path, sizes: Sizes) -> None:
    """Write an LMDB file for each split, without images."""
    for split in sizes.splits:
        dataset = sizes.dataset(str(root), split=split, unit='ref')
        infos = (dataset.get_data_info(idx) for idx in range(len(dataset)))
        lines = [line_of({**info, 'image_key': dataset.image_key(info)}, Path(info['img_path']).name, outline_rle(info))
                 for info in infos]
        folder = root / 'prepared' / split
        folder.mkdir(parents=True)
        write_lmdb(folder, split, lines)


def outline_rle(info: dict) -> dict:
    """The RLE of a referent's polygons, drawn by pycocotools alone, which is fastest."""
    outlines, size = info['segmentation'], (info['height'], info['width'])
    if isinstance(outlines, dict):
        outlines = [polygon for instance in outlines['instances'] for polygon in instance]
    floats = [list(map(float, outline)) for outline in outlines]
    code = mask_utils.merge(mask_utils.frPyObjects(floats, *size))
    return {'size': list(size), 'counts': code['counts'].decode()}


def open_prepared(root: Path, sizes: Sizes) -> dict[str, float]:
    """Open all splits of the prepared data set."""
    start = time.perf_counter()
    datasets = [ReferringLMDBDataset(str(root / 'prepared' / split), split) for split in sizes.splits]
    for dataset in datasets:
        dataset[0]
    return {'expressions': sum(map(len, datasets)), 'seconds': time.perf_counter() - start, 'peak_mb': peak_mb()}


class Touched(Dataset):
    """Makes samples, and forgets them."""

    def __init__(self, dataset: BaseReferringDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> int:
        return len(self.dataset[index])


def worker_memory(root: Path, sizes: Sizes, prepared: bool, workers: int) -> dict[str, float]:
    """Memory of a process and its workers, all of which have made every sample of the first split."""
    split = sizes.splits[0]
    dataset = (ReferringLMDBDataset(str(root / 'prepared' / split), split) if prepared else
               sizes.dataset(str(root), split=split))
    indices = range(len(dataset))
    # Batches go to the workers in turn, so that of as many equal ones each worker gets one.
    batches = [indices[start:start + 512] for start in indices[::512] for _ in range(workers)]
    loader = DataLoader(Touched(dataset), batch_sampler=batches, num_workers=workers, persistent_workers=True)
    for _ in loader:
        pass
    children = [memory_mb(child.pid) for child in active_children()]
    # The tool's first process shares pages with all of them.
    return {'total': sum(process['Pss'] for process in (memory_mb('self'), memory_mb(os.getppid()), *children)),
            'private': max(child['Private_Clean'] + child['Private_Dirty'] for child in children)}


def measure_workers(root: Path, sizes: Sizes, prepared: bool, workers: int) -> dict[str, float]:
    """What a further worker adds: by the memory of all processes, and what the largest has for itself alone."""
    one, many = (alone(worker_memory, root, sizes, prepared, number) for number in (1, workers))
    return {'added_mb': (many['total'] - one['total']) / (workers - 1), 'private_mb': many['private']}


def memory_mb(process: int | str) -> dict[str, float]:
    """Megabytes of a process by kind; pages that several share count in parts in ``Pss``."""
    lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()[1:]
    return {line.split(':')[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}


def peak_mb() -> float:
    """Megabytes of this process at most so far, Python and libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure_set(name: str, images: int | None, workers: int) -> dict[str, Any]:
    """All figures of one data set."""
    sizes = SETS[name]
    with TemporaryDirectory() as folder:
        root = Path(folder)
        alone(sizes.write, root, images or sizes.images)
        figures = {'build': alone(build_splits, root, sizes)}
        alone(write_lmdb_splits, root, sizes)
        return {**figures, 'open': alone(open_prepared, root, sizes),
                'worker_built': measure_workers(root, sizes, False, workers),
                'worker_prepared': measure_workers(root, sizes, True, workers)}


def measure_metadata(args: Namespace) -> dict[str, Any]:
    """Measure each set; returns all figures.

    Raises:
        InputError: a set is unknown, or a number out of range.
    """
    names = args.sets or list(SETS)
    if unknown := set(names) - set(SETS):
        raise InputError(f'there is no set {sorted(unknown)}; choose from {", ".join(SETS)}')
    check_least(args, images=40, workers=2)
    if not Path('/proc/self/smaps_rollup').is_file():
        raise InputError('the memory of processes can be read on Linux only')
    return {'sets': {name: measure_set(name, args.images, args.workers) for name in names},
            'workers': args.workers, 'machine': machine(), 'versions': versions()}


def metadata_text(figures: dict[str, Any]) -> str:
    """The figures of the annotations as text."""
    lines = []
    for name, rows in figures['sets'].items():
        built, opened = rows['build'], rows['open']
        lines += [
            f'{name}, {built["expressions"]:,} expressions',
            f'  build      {built["seconds"]:8.1f} s ({built["cpu_seconds"]:.1f} s of processor time), '
            f'{built["peak_mb"]:,.0f} MB at most ({built["empty_mb"]:,.0f} MB before: Python and libraries)',
            f'  open       {opened["seconds"]:8.2f} s, {opened["peak_mb"]:,.0f} MB at most',
            *(f'  worker     {row["added_mb"]:8.1f} MB added by each, {row["private_mb"]:.1f} MB its own: {kind}'
              for kind, row in (('built', rows['worker_built']), ('prepared', rows['worker_prepared']))),
        ]
    return '\n'.join([
        *lines, *(f'{name}: {meaning}' for name, meaning in METADATA_MEANING.items()), *circumstances(figures)
    ])


def benchmark_metadata(args: Namespace) -> None:
    """Measure the annotations, print the figures and write them."""
    measure_and_show(lambda: measure_metadata(args), lambda figures: print(metadata_text(figures)), args.out)


def main() -> None:
    """Measure as the command line says."""
    command_line.run(make_parser(), benchmark_metadata)


if __name__ == '__main__':
    main()
