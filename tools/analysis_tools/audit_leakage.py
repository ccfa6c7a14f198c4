"""Find out which images the splits of data sets share, and whether configs train on what they test on."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from rich import box
from rich.progress import track
from rich.table import Table
from rich.text import Text

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, read_config
from mmrefseg.datasets import BaseReferringDataset
from mmrefseg.datasets.dataset_configs import LOADERS, build_unread, dataset_config, referring_configs, referring_sets
from mmrefseg.datasets.duplicate_images import Copy, Fingerprint, find_copies, read_fingerprint
from mmrefseg.datasets.leakage import Splits, images_of_splits, shared_images
from mmrefseg.errors import InputError
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.utils.text_formatting import print_tables
from mmrefseg.utils.worker_processes import check_workers, ordered_map

SHOWN_COPIES = 10  # pairs of pictures of a split


class Training(NamedTuple):
    """What a config trains on and tests on.

    Args:
        config: its name.
        trained: keys of the images of its training data, without those that a mixture leaves out.
        tested: keys of the images of every split but train of the data sets that it validates or tests on.
        copies: trained pictures that are tested on under another name, by title and split; empty where pictures are not
            looked at.
    """

    config: str
    trained: set[str]
    tested: Splits
    copies: dict[tuple[str, str], list[Copy]]

    def leaks(self) -> dict[tuple[str, str], int]:
        """How many of the trained images each tested split has, where there are any."""
        return {split: len(images) for split, images in shared_images(self.trained, self.tested).items()}


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Print how many images the splits of all data sets that the configs name have in common, and '
                    'whether a config trains on images of a split (val, test, ...) of the data sets that it validates '
                    'or tests on. A mixture trains on what it does not leave out. Images are known by their ids, or '
                    'with --pictures also by what they show. The exit status is 1 if a config leaks.')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='path of a config, or the name of one in configs/')
    parser.add_argument('--pictures', action='store_true',
                        help='open all images, and find trained ones that are tested on under another name: the same '
                             'file, or nearly the same picture, by a 64-bit perceptual hash')
    parser.add_argument('--workers', type=int, default=2, help='processes that open images (default: 2)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='JSON file for the numbers')
    add_cfg_options(parser, 'train_dataloader.dataset.data_root=DIR')
    return parser


class Audit:
    """The data sets of configs; each is read once, whatever the number of configs that name it.

    Args:
        workers: processes that open images; 0 to open none.
    """

    def __init__(self, workers: int) -> None:
        self.splits: Splits = {}
        self.trainings: list[Training] = []
        self._workers, self._pictures = workers, {}

    def add(self, name: str, config: Config) -> None:
        """Add the splits and trainings of a config.

        Raises:
            InputError: it has no referring data set, or files do not hold what they should.
            MissingInputError: files are missing.
        """
        found = {loader: [build_unread(dataset) for dataset in referring_configs(dataset_config(config, loader))]
                 for loader in LOADERS if config.get(f'{loader}_dataloader')}
        if not any(found.values()):
            raise InputError(f'{name} names no data set of mmrefseg, such as RefCOCODataset')
        for datasets in found.values():
            self._read(_leaves(datasets))
        trained = set().union(*(dataset.images() for dataset in found.pop('train', ())))
        tested_sets = {dataset.title for datasets in found.values() for dataset in _leaves(datasets)}
        tested = {(title, split): images for (title, split), images in self.splits.items()
                  if title in tested_sets and split != 'train'}
        copies = self._copies(config) if self._workers else {}
        self.trainings.append(Training(name, trained, tested, copies))

    def _copies(self, config: Config) -> dict[tuple[str, str], list[Copy]]:
        """Trained pictures in each split that is tested on, but for those that are one image by their names too."""
        trained: dict[str, str] = {}
        for dataset in referring_configs(dataset_config(config, 'train')) if config.get('train_dataloader') else ():
            trained |= paths_of(build_unread(dataset))
        leaves = [leaf for loader in LOADERS[1:] if config.get(f'{loader}_dataloader')
                  for leaf in referring_configs(dataset_config(config, loader), open_mixtures=True)]
        copies: dict[tuple[str, str], list[Copy]] = {}
        for leaf in leaves:
            for split in build_unread(leaf).splits():
                dataset = build_unread(leaf, split=split)
                if split == 'train' or (dataset.title, split) in copies:
                    continue
                others = [path for key, path in paths_of(dataset).items() if key not in trained]
                copies[dataset.title, split] = find_copies(self._look_at(trained.values()), self._look_at(others))
        return {split: found for split, found in copies.items() if found}

    def _look_at(self, paths: Iterable[str]) -> list[Fingerprint]:
        paths = list(paths)
        unread = [path for path in paths if path not in self._pictures]
        with ordered_map(self._workers) as over_workers:
            pictures = track(over_workers(read_fingerprint, unread), 'pictures', len(unread))
            self._pictures |= {picture.name: picture for picture in pictures}
        return [self._pictures[path] for path in paths]

    def _read(self, datasets: Iterable[BaseReferringDataset]) -> None:
        known = {title for title, _ in self.splits}
        self.splits |= images_of_splits(dataset for dataset in datasets if dataset.title not in known)

    def overlap(self) -> list[list[int]]:
        """How many images each two splits share; with itself a split shares all."""
        return [[len(images & others) for others in self.splits.values()] for images in self.splits.values()]

    def report(self) -> dict[str, Any]:
        """All numbers, as JSON can hold them."""
        return {
            'splits': [{'set': title, 'split': split, 'images': len(images)}
                       for (title, split), images in self.splits.items()],
            'overlap': self.overlap(),
            'configs': {
                training.config: {
                    'trained_images': len(training.trained),
                    'leaks': [{'set': title, 'split': split, 'images': number}
                              for (title, split), number in training.leaks().items()],
                    'copies': [{'set': title, 'split': split, 'trained': copy.first.name, 'tested': copy.second.name,
                                'same_file': copy.is_exact}
                               for (title, split), copies in training.copies.items() for copy in copies],
                } for training in self.trainings
            },
        }


def _leaves(datasets: Iterable[BaseReferringDataset]) -> list[BaseReferringDataset]:
    """The data sets, those of mixtures one by one."""
    return [leaf for dataset in datasets for leaf in referring_sets(dataset, open_mixtures=True)]


def paths_of(dataset: BaseReferringDataset) -> dict[str, str]:
    """Key → path of each image of a data set."""
    return {dataset.image_key(referent): referent['img_path'] for referent in dataset.referents()}


def overlap_table(splits: Sequence[tuple[str, str]], overlap: Sequence[Sequence[int]]) -> Table:
    """A row and a column for each split."""
    table = Table('', 'data set', 'split', box=box.SIMPLE_HEAD, caption_justify='left',
                  caption='images in common; on the diagonal all images of a split; ! images of a train split and of '
                          'one that is not for training')
    for number in range(1, len(splits) + 1):
        table.add_column(str(number), justify='right')
    for number, ((title, split), row) in enumerate(zip(splits, overlap, strict=True), 1):
        cells = [overlap_cell(shared, (split == 'train') != (other == 'train'))
                 for shared, (_, other) in zip(row, splits, strict=True)]
        is_last = number == len(splits) or splits[number][0] != title
        table.add_row(str(number), title, split, *cells, end_section=is_last)
    return table


def overlap_cell(shared: int, is_crossing: bool) -> str | Text:
    """A number of images as the matrix shows it."""
    if not shared:
        return '·'
    return Text(f'{shared}!', 'bold red') if is_crossing else str(shared)


def verdict(training: Training) -> str:
    """A line that says whether a config leaks."""
    leaks = [f'{number} of {title} {split}' for (title, split), number in training.leaks().items()]
    number = len(training.trained)
    leaks += [f'{len({copy.first.name for copy in copies})} that {title} {split} has under another name'
              for (title, split), copies in training.copies.items()]
    if leaks:
        return f'LEAK  {training.config} trains on {number} images, among them {", ".join(leaks)}'
    return f'clean {training.config} trains on {number} images, none of which is in a split that it can test on'


def audit_configs(args: Namespace) -> bool:
    """Audit and print; returns whether any config leaks."""
    check_workers(args.workers)
    audit = Audit(args.workers if args.pictures else 0)
    if args.out:
        check_writable(args.out.parent)
    for name in args.configs:
        audit.add(name, read_config(name, args.cfg_options, needs_model=False))
    print_tables(overlap_table(list(audit.splits), audit.overlap()), width=80 + 8 * len(audit.splits))
    print('\n'.join(map(verdict, audit.trainings)))
    for training in audit.trainings:
        for (title, split), copies in training.copies.items():
            for copy in copies[:SHOWN_COPIES]:
                kind = 'the same file' if copy.is_exact else 'nearly the same'
                print(f'  {training.config}: {copy.first.name} and {copy.second.name} of {title} {split} ({kind})')
    if args.out:
        write_json(audit.report(), args.out)
        print(f'The numbers are in {args.out}')
    return any(training.leaks() or training.copies for training in audit.trainings)


def main() -> None:
    """Audit as the command line says."""
    command_line.run(make_parser(), audit_configs)


if __name__ == '__main__':
    main()
