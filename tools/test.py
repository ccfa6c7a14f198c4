"""Test a trained model: tools/test.py CONFIG CHECKPOINT [--splits val testA testB]."""
from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import is_main_process, master_only
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_runner import (
    add_common_arguments,
    add_compile_argument,
    compile_model,
    load_config,
    mixed_precision_dtype,
    run_test,
    start_testing,
    tell_speed,
)
from mmrefseg.apis.kept_counts import KeptCounts
from mmrefseg.apis.model_comparison import compare_runners, start_other
from mmrefseg.datasets.dataset_configs import OTHERWISE, with_split
from mmrefseg.engine.sample_inference import answered_samples, spread_indices
from mmrefseg.errors import FileError, InputError
from mmrefseg.evaluation import PROTOCOLS
from mmrefseg.evaluation.metric_configs import evaluators, protocols_of
from mmrefseg.evaluation.predictions import PROTOCOLS_KEY
from mmrefseg.utils.files import check_writable, make_subfolder, write_atomically, write_json
from mmrefseg.utils.launched_processes import leave_process_group
from mmrefseg.visualization import ReferringVisualizer


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(description='Test a trained model; figures go to metrics.json in the work folder, which '
                                        'the next test replaces, and to <time>/metrics.json below it, which stays.')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument('checkpoint', help='trained weights')
    parser.add_argument('--splits', nargs='+', help="splits to test, such as val testA testB (default: the config's)")
    parser.add_argument(
        '--shuffled-splits',
        nargs='+',
        default=[],
        help='splits to test with their expressions shuffled among samples: how well a model does that cannot read')
    parser.add_argument(
        '--absent-splits',
        nargs='+',
        default=[],
        help='splits to test with every other expression replaced by one that names nothing on its image')
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, metavar='NAME',
                        help=f"protocols to evaluate under, of {', '.join(PROTOCOLS)}; figures of all but the first "
                             "begin with the protocol's name (default: the config's)")
    parser.add_argument('--out', help='write predictions as COCO RLE, made under the first protocol, to this JSON file')
    parser.add_argument('--out-protocols', action='store_true', help='write the masks of the other protocols, too')
    parser.add_argument('--out-probabilities', action='store_true',
                        help='write small pictures of the probabilities, too')
    parser.add_argument('--out-routing', action='store_true', help='write what the routers decide, too')
    parser.add_argument('--show-dir', type=Path, metavar='DIR',
                        help='write pictures of samples here: expression, truth, answer and probabilities, and routing '
                             'with --out-routing; DIR/SPLIT/INDEX.png')
    parser.add_argument('--show-number', type=int, default=100, metavar='N',
                        help='pictures per split, at equal distances in it (default: 100)')
    parser.add_argument('--against', nargs=2, metavar=('CONFIG', 'CHECKPOINT'),
                        help='another model to test on the same expressions; figures of both, with 95 %% intervals of '
                             'the differences, go to against.json in the work folder')
    add_compile_argument(parser)
    add_common_arguments(parser)
    return parser


def build_dataloaders(cfg: Config, splits: list[str] | None, shuffled_splits: Sequence[str],
                      absent_splits: Sequence[str] = ()) -> dict[str, dict]:
    """The dataloader config of each split to test, by the name under which its figures are reported."""
    dataloaders = {} if splits else {cfg.test_dataloader.dataset.get('split', 'test'): cfg.test_dataloader}
    for split in splits or ():
        dataloaders[split] = _on_split(cfg, split)
    for suffix, chosen in (('_shuffled', shuffled_splits), ('_absent', absent_splits)):
        for split in chosen:
            dataloader = _on_split(cfg, split)
            dataloader.dataset = dict(OTHERWISE[suffix], dataset=dataloader.dataset)
            dataloaders[split + suffix] = dataloader
    return dataloaders


def _on_split(cfg: Config, split: str) -> ConfigDict:
    dataloader = deepcopy(cfg.test_dataloader)
    dataloader.dataset = with_split(dataloader.dataset, split)
    return dataloader


def test_split(runner: Runner, evaluator: list[dict], dataloader: DataLoader | dict, out_file: Path | None,
               args: Namespace, kept: Sequence[KeptCounts] = ()) -> dict[str, float]:
    """The figures of one split; its predictions go to ``out_file``, and what is counted to metrics like ``kept``."""
    if out_file:
        rules = list(rules_of_masks(evaluator, args).values())
        evaluator = [*evaluator, dict(type='mmrefseg.DumpPredictions', out_file=str(out_file), protocol=rules,
                                      probabilities=args.out_probabilities, routing=args.out_routing)]
    figures = run_test(runner, dataloader, [*evaluator, *kept], args.amp)
    tell_speed(runner, 'test')
    return figures


def rules_of_masks(evaluator: list[dict], args: Namespace) -> dict[str, dict]:
    """Name → rules of the protocols that masks are written of."""
    protocols = protocols_of(evaluator)
    return {protocol.name: protocol.to_dict() for protocol in (protocols if args.out_protocols else protocols[:1])}


def test_both(runner: Runner, other: Runner, evaluator: list[dict], dataloader: dict, out_file: Path | None,
              args: Namespace) -> tuple[dict[str, float], dict[str, Any]]:
    """What :func:`test_split` does and returns, and figures of both models."""
    loader = runner.build_dataloader(dataloader, seed=runner.seed)  # its processes read for both
    kept = KeptCounts(protocol=protocols_of(evaluator)[0].to_dict())
    figures = test_split(runner, evaluator, loader, out_file, args, [kept])
    print_log('The other model:', 'current')
    run_test(other, loader, [kept], args.amp)
    return figures, compare_runners(runner, other) if is_main_process() else {}


def print_differences(name: str, compared: dict[str, Any]) -> None:
    """A line on how the figures of both models differ."""
    said = []
    for figure, difference in compared['differences'].items():
        interval = '' if difference.low is None else f', 95 % interval {difference.low:+.1f} to {difference.high:+.1f}'
        said.append(f'{figure} {compared["figures"][figure].mean:.1f} against {compared["against"][figure].mean:.1f} '
                    f'({difference.mean:+.1f}{interval})')
    print_log(f'{name}: ' + '; '.join(said), 'current')


@master_only
def show_samples(runner: Runner, folder: Path, number: int, amp: bool) -> None:
    """Draw samples of the split that was tested."""
    loader, visualizer = runner.test_loop.dataloader, ReferringVisualizer('shown')
    indices = spread_indices(len(loader.dataset), number)
    with torch.autocast(get_device(), mixed_precision_dtype(), enabled=amp):
        for index, (image, sample) in zip(indices, answered_samples(runner, loader, indices), strict=True):
            visualizer.add_datasample('', image, sample, out_file=folder / f'{index:06d}.png')


def test(args: Namespace) -> None:
    """Test as the command line says."""
    cfg = load_config(args)
    if args.out_routing:
        cfg.model.test_cfg = {**(cfg.model.get('test_cfg') or {}), 'routing': True}
    if args.out:
        check_writable(Path(args.out).parent)
        if Path(args.out).is_dir():
            raise FileError(f'--out names the folder {args.out}; name a JSON file in it')
    if args.show_dir:
        check_writable(args.show_dir)
    if args.show_number < 1:
        raise InputError(f'--show-number must be 1 or more, got {args.show_number}')
    other = start_other(cfg, *args.against) if args.against else None
    runner = start_testing(cfg, args.checkpoint)
    if args.compile:
        compile_model(runner)
    evaluator = evaluators(cfg, args.protocol)
    # What is known of all splits so far.
    metrics = {PROTOCOLS_KEY: {protocol.name: protocol.to_dict() for protocol in protocols_of(evaluator)}}
    predictions, figures = {PROTOCOLS_KEY: rules_of_masks(evaluator, args)}, Path(cfg.work_dir, 'metrics.json')
    compared: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, dataloader in build_dataloaders(cfg, args.splits, args.shuffled_splits,
                                                   args.absent_splits).items():
            out_file = Path(folder, f'{name}.json') if args.out else None
            print_log(f'Split {name}:', 'current')
            if other is None or name.endswith(tuple(OTHERWISE)):
                metrics[name] = test_split(runner, evaluator, dataloader, out_file, args)
            else:
                metrics[name], compared[name] = test_both(runner, other, evaluator, dataloader, out_file, args)
            print_log(f'{name}: ' + '  '.join(f'{figure} {value:.1f}' for figure, value in metrics[name].items()),
                      'current')
            if args.show_dir:
                show_samples(runner, make_subfolder(args.show_dir, name), args.show_number, args.amp)
            if is_main_process():
                for path in (figures, Path(runner.log_dir, figures.name)):
                    write_json(metrics, path)
            if is_main_process() and name in compared:
                print_differences(name, compared[name])
                write_json({'against': args.against, 'splits': compared}, Path(cfg.work_dir, 'against.json'))
            if is_main_process() and out_file:
                predictions[name] = json.loads(out_file.read_text())
                write_atomically(json.dumps(predictions).encode(), args.out)
    runner.call_hook('after_run')
    if is_main_process():
        print(f'The figures are in {figures}')
        if args.out:
            print(f'The predictions are in {args.out}')


def test_and_leave(args: Namespace) -> None:
    """Test, and leave together with the other processes."""
    test(args)
    leave_process_group()


def main() -> None:
    """Test as the command line says."""
    command_line.run(make_parser(), test_and_leave)


if __name__ == '__main__':
    main()
