"""Test a trained model: tools/test.py CONFIG CHECKPOINT [--splits val testA testB]."""
from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser, Namespace
from copy import deepcopy
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner, TestLoop

from mmrefseg.apis.running import add_common_arguments, load_config
from mmrefseg.utils.files import check_writable, write_atomically


def parse_args() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description='Test a trained model; figures go to metrics.json in the work folder.')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument('checkpoint', help='trained weights')
    parser.add_argument('--splits', nargs='+', help="splits to test, such as val testA testB (default: the config's)")
    parser.add_argument(
        '--shuffled-splits',
        nargs='+',
        default=[],
        help='splits to test with their expressions shuffled among samples: how well a model does that cannot read')
    parser.add_argument('--out', help='write predictions as COCO RLE to this JSON file')
    add_common_arguments(parser)
    return parser.parse_args()


def build_dataloaders(cfg: Config, splits: list[str] | None, shuffled_splits: list[str]) -> dict[str, dict]:
    """The dataloader config of each split to test, by the name under which its figures are reported."""
    own = cfg.test_dataloader.dataset.split
    dataloaders = {}
    for split in splits or [own]:
        dataloaders[split] = deepcopy(cfg.test_dataloader)
        dataloaders[split].dataset.split = split
    for split in shuffled_splits:
        dataloader = deepcopy(cfg.test_dataloader)
        dataloader.dataset.split = split
        dataloader.dataset = dict(type='ShuffledExpressions', dataset=dataloader.dataset)
        dataloaders[f'{split}_shuffled'] = dataloader
    return dataloaders


def main() -> None:
    """Test as the command line says."""
    args = parse_args()
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    if args.out:
        check_writable(Path(args.out).parent)
    runner = Runner.from_cfg(cfg)
    runner.call_hook('before_run')
    runner.load_or_resume()
    metrics, predictions = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, dataloader in build_dataloaders(cfg, args.splits, args.shuffled_splits).items():
            evaluator = [deepcopy(cfg.test_evaluator)]
            if args.out:
                evaluator.append(dict(type='DumpPredictions', out_file=str(Path(folder, f'{name}.json'))))
            metrics[name] = TestLoop(runner, dataloader, evaluator, fp16=args.amp).run()
            if args.out and is_main_process():
                predictions[name] = json.loads(Path(folder, f'{name}.json').read_text())
    runner.call_hook('after_run')
    if is_main_process():
        write_atomically((json.dumps(metrics, indent=2) + '\n').encode(), Path(cfg.work_dir, 'metrics.json'))
        if args.out:
            write_atomically(json.dumps(predictions).encode(), args.out)


if __name__ == '__main__':
    main()
