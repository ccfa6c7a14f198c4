"""Ask a trained model otherwise, to see whether words matter: probe_language.py CONFIG CHECKPOINT [--split val]."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import is_main_process
from rich import box
from rich.table import Table

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_runner import add_common_arguments, load_config, start_testing
from mmrefseg.apis.run_language_probe import probe
from mmrefseg.datasets.changed_expressions import EXPRESSION_CHANGES
from mmrefseg.datasets.dataset_configs import dataset_config
from mmrefseg.evaluation import PROTOCOLS
from mmrefseg.evaluation.functional import Estimate, FigureDifference
from mmrefseg.evaluation.language_probe_results import Probed, verdicts
from mmrefseg.evaluation.metric_configs import evaluators, protocols_of
from mmrefseg.evaluation.predictions import PROTOCOLS_KEY
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.utils.launched_processes import leave_process_group
from mmrefseg.utils.text_formatting import print_tables


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Test a trained model on a split as it is asked, and asked otherwise: with '
                    + '; '.join(f'{change.says} ({name})' for name, change in EXPRESSION_CHANGES.items())
                    + '. Prints figures side by side, in percent, and what they say of the model; docs/evaluate.md '
                      'tells how to read them.')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument('checkpoint', help='trained weights')
    parser.add_argument('--split', nargs='+', metavar='SPLIT',
                        help="splits to ask about, such as val testA testB (default: the config's)")
    parser.add_argument('--changes', nargs='+', choices=EXPRESSION_CHANGES, default=list(EXPRESSION_CHANGES),
                        metavar='NAME',
                        help=f'ways to ask otherwise, of {", ".join(EXPRESSION_CHANGES)} (default: all)')
    parser.add_argument('--protocol', choices=PROTOCOLS, metavar='NAME',
                        help=f"protocol to evaluate under, of {', '.join(PROTOCOLS)} (default: the config's first)")
    parser.add_argument('--seed', type=int, default=0, help='of what is drawn (default: 0)')
    parser.add_argument('--out', type=Path, metavar='FILE.json',
                        help='where all numbers go (default: probe.json in the work folder)')
    add_common_arguments(parser)
    return parser


def probe_table(splits: Mapping[str, Mapping[str, Probed]]) -> Table:
    """A row per split and way to ask."""
    used = dict.fromkeys(name for rows in splits.values() for name in rows if name in EXPRESSION_CHANGES)
    made = Table('split', 'asked', box=box.SIMPLE_HEAD, caption_justify='left', caption=(
        'own: the same expressions as they are; answered: expressions for which any pixel is predicted; '
        + '; '.join(f'{name}: {EXPRESSION_CHANGES[name].says}' for name in used)))
    for column in ('expressions', 'mIoU', 'own', 'difference', '95 % interval', 'Pr@50', 'own', 'answered', 'own'):
        made.add_column(column, justify='right')
    for split, rows in splits.items():
        for name, row in rows.items():
            made.add_row(split, name, str(row.expressions), *_cells(row), end_section=name == list(rows)[-1])
    return made


def _cells(row: Probed) -> list[str]:
    miou, precision, answered = (_pair(row, figure) for figure in ('mIoU', 'Pr@50', 'answered'))
    difference: FigureDifference | None = row.differences.get('mIoU')
    if row.figures == row.own or difference is None:
        return [miou[0], '', '', '', precision[0], '', answered[0], '']
    interval = '-' if difference.low is None else f'{difference.low:+.1f} to {difference.high:+.1f}'
    return [*miou, f'{difference.mean:+.1f}', interval, *precision, *answered]


def _pair(row: Probed, figure: str) -> tuple[str, str]:
    """A figure, and that of the same expressions as they are."""
    found: list[Estimate | None] = [row.figures.get(figure), row.own.get(figure)]
    first, second = ('-' if estimate is None else f'{estimate.mean:.1f}' for estimate in found)
    return first, second


def ask(args: Namespace) -> None:
    """Ask in each way, and print the table."""
    cfg = load_config(args)
    out = args.out or Path(cfg.work_dir, 'probe.json')
    check_writable(out.parent)
    dataset = dataset_config(cfg, 'test')
    protocol = PROTOCOLS[args.protocol] if args.protocol else protocols_of(evaluators(cfg))[0]
    runner = start_testing(cfg, args.checkpoint)
    splits = {}
    for split in dict.fromkeys(args.split or [dataset.get('split', 'test')]):
        of_split = dict(dataset, split=split) if args.split else dataset
        loader = dict(cfg.test_dataloader, dataset=of_split)
        splits[split] = probe(runner, loader, args.changes, args.seed, protocol.to_dict(), args.amp)
    runner.call_hook('after_run')
    if not is_main_process():
        return
    said = {split: verdicts(rows) for split, rows in splits.items()}
    print_tables(probe_table(splits))
    for split, rows in splits.items():
        print('\n'.join(f'{split}: {sentence}' for sentence in said[split]))
        if left_out := [name for name in args.changes if name not in rows]:
            print(f'{split}: not asked, as no expression allows it: {", ".join(left_out)}')
    print(f'Protocol {protocol}')
    write_json({'config': args.config, 'checkpoint': args.checkpoint, 'seed': args.seed,
                PROTOCOLS_KEY: {protocol.name: protocol.to_dict()},
                'splits': {split: {'verdicts': said[split], 'asked': rows} for split, rows in splits.items()}}, out)
    print(f'All numbers are in {out}')


def probe_language(args: Namespace) -> None:
    """Ask, and leave together with the other processes."""
    ask(args)
    leave_process_group()


def main() -> None:
    """Ask as the command line says."""
    command_line.run(make_parser(), probe_language)


if __name__ == '__main__':
    main()
