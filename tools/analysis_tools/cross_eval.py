"""Test one checkpoint on data sets that it was not trained for (zero-shot transfer)."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from inspect import isclass
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from rich import box
from rich.table import Table

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import read_config
from mmrefseg.apis.config_to_runner import add_common_arguments, load_config, run_test, start_testing
from mmrefseg.datasets import BaseReferringDataset
from mmrefseg.datasets.dataset_configs import dataset_class
from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS, type_name
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.utils.text_formatting import print_tables


class Target(NamedTuple):
    """A data set to test on.

    Args:
        name: what the matrix calls it.
        dataset: its config, with the model's pipeline and without a split.
        splits: the splits to test.
        evaluator: config of its metrics.
    """

    name: str
    dataset: dict[str, Any]
    splits: tuple[str, ...]
    evaluator: dict | list


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Test one checkpoint on the splits of other data sets and print a table of figures in percent. '
                    'Images are prepared as CONFIG says. "seen" is the share of expressions about images that '
                    "CONFIG trains on: data sets that share COCO's images split them differently, and where it isn't "
                    '0, the model has met what it is tested on.')
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='trained weights')
    parser.add_argument('--on', nargs='+', required=True, metavar='DATASET_CONFIG',
                        help='files, or names such as refcoco-plus, of configs with a test_dataloader')
    parser.add_argument('--splits', nargs='+', help='test only these splits, where a data set has them (default: all '
                                                    'but train)')
    parser.add_argument('--out', type=Path, help='JSON file for the figures')
    add_common_arguments(parser)
    return parser


def read_targets(configs: Sequence[str], cfg: Config, splits: Sequence[str] | None) -> list[Target]:
    """Read the configs of the data sets, and which splits these have.

    Raises:
        MissingInputError: a config or a data set is missing.
        InputError: a config names no referring data set, or the data set has none of the splits.
    """
    stems = [Path(config).stem for config in configs]
    names = [stem if stems.count(stem) == 1 else config for stem, config in zip(stems, configs, strict=True)]
    return [read_target(name, config, cfg, splits) for name, config in zip(names, configs, strict=True)]


def read_target(name: str, file: str, cfg: Config, splits: Sequence[str] | None) -> Target:
    """Read one config; see :func:`read_targets`."""
    config = read_config(file, needs_model=False)
    dataset = config.get('test_dataloader', {}).get('dataset')
    if dataset is None:
        raise InputError(f'{file} has no test_dataloader.dataset; name a config of a data set, such as '
                         'configs/_base_/datasets/refcoco.py')
    kind = dataset_class(dataset)
    if not isclass(kind) or not issubclass(kind, BaseReferringDataset):
        raise InputError(f'{file} tests on a {type_name(dataset.type)}; expected was a data set of mmrefseg, such as '
                         'RefCOCODataset')
    unloaded = DATASETS.build({**dataset, 'pipeline': [], 'lazy_init': True})
    there = sorted(split for split in unloaded.images_by_split() if split != 'train')
    wanted = tuple(split for split in splits or there if split in there)
    if not wanted:
        raise InputError(f'{unloaded.title} has no split to test: it has {", ".join(there) or "only train"}'
                         + (f', and --splits asks for {", ".join(splits)}' if splits else ''))
    pipeline = cfg.test_dataloader.dataset.pipeline
    return Target(name, {**dataset, 'pipeline': pipeline}, wanted, config.get('test_evaluator', cfg.test_evaluator))


def trained_images(cfg: Config) -> set[str] | None:
    """Keys of the images that a config trains on; None where they aren't on this machine, or the set isn't ours."""
    try:
        dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': [], 'lazy_init': True})
        return dataset.images() if isinstance(dataset, BaseReferringDataset) else None
    except FileNotFoundError:
        return None


def test_target(runner: Runner, target: Target, trained: set[str] | None,
                amp: bool) -> dict[str, dict[str, Any]]:
    """Split → figures, ``expressions`` (their number) and ``seen`` (those about trained images; None if unknown)."""
    results = {}
    for split in target.splits:
        runner.logger.info(f'{target.name} {split}')
        dataloader = dict(runner.cfg.test_dataloader, dataset=dict(target.dataset, split=split))
        figures = run_test(runner, dataloader, target.evaluator, amp)
        tested = runner.test_loop.dataloader.dataset
        shown = [tested.image_key(info) for info in map(tested.get_data_info, range(len(tested)))]
        seen = None if trained is None else 100 * sum(image in trained for image in shown) / len(shown)
        results[split] = {**figures, 'expressions': len(shown), 'seen': seen}
    return results


def transfer_table(results: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """A row for each split of each data set."""
    table = Table('data set', 'split', box=box.SIMPLE_HEAD, caption_justify='left',
                  caption="percent; seen: expressions about images of the model's training data")
    columns = list(dict.fromkeys(name for splits in results.values() for row in splits.values() for name in row))
    for column in columns:
        table.add_column(column, justify='right')
    for target, splits in results.items():
        for split, row in splits.items():
            table.add_row(target, split, *(figure_cell(row.get(column)) for column in columns),
                          end_section=split == list(splits)[-1])
    return table


def figure_cell(value: float | None) -> str:
    """A number as the table shows it."""
    if value is None:
        return '?'
    return f'{value:.1f}' if isinstance(value, float) else str(value)


def cross_evaluate(args: Namespace) -> None:
    """Test and print the table."""
    cfg = load_config(args)
    if args.out:
        check_writable(args.out.parent)
    targets = read_targets(args.on, cfg, args.splits)
    trained = trained_images(cfg)
    runner = start_testing(cfg, args.checkpoint)
    results = {target.name: test_target(runner, target, trained, args.amp) for target in targets}
    if is_main_process():
        print_tables(transfer_table(results))
        if args.out:
            report = dict(config=args.config, checkpoint=args.checkpoint, results=results)
            write_json(report, args.out)
            print(f'The figures are in {args.out}')


def main() -> None:
    """Test as the command line says."""
    command_line.run(make_parser(), cross_evaluate)


if __name__ == '__main__':
    main()
