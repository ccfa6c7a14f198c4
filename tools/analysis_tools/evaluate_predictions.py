"""Evaluate predictions of any program: evaluate_predictions.py PREDICTIONS --on CONFIG [--split val testA]."""
from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from inspect import isclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from rich import box
from rich.table import Table

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import read_config
from mmrefseg.datasets import BaseReferringDataset
from mmrefseg.datasets.dataset_configs import OTHERWISE, build_unread, dataset_class, dataset_config
from mmrefseg.errors import InputError
from mmrefseg.evaluation import PROTOCOLS, Protocol
from mmrefseg.evaluation.expression_counts import ExpressionCounts
from mmrefseg.evaluation.functional import Ratio, compare_figures, estimate_figures
from mmrefseg.evaluation.functional.expression_groups import GROUPINGS
from mmrefseg.evaluation.metric_configs import counting_metrics, evaluators, protocols_of
from mmrefseg.evaluation.metrics.expression_metric import ExpressionMetric
from mmrefseg.evaluation.predictions import (
    PROTOCOLS_KEY,
    Matched,
    Predictions,
    count_predictions,
    match_predictions,
    read_predictions,
    reannotate,
    refuse_strangers,
)
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import key_of
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.utils.text_formatting import print_tables

SHOWN_ENTRIES = 5


class Split(NamedTuple):
    """What is asked on a split: the data set's name of it and its expressions.

    Args:
        name: what the file of predictions calls it; ``val_shuffled`` is ``val`` with its expressions exchanged, and
            ``val_absent`` with some that name nothing there.
        infos: the expressions, as the data set has them, or with other masks of truth.
        image_folder: folder that file names are relative to.
        dataset: where the expressions are from.
        published: the same expressions with the data set's masks, where ``infos`` has others. Default None.
    """

    name: str
    infos: list[dict[str, Any]]
    image_folder: str
    dataset: BaseReferringDataset
    published: list[dict[str, Any]] | None = None


def percent(text: str) -> float:
    """A share of the command line."""
    share = float(text)
    if not 0 <= share <= 100:
        raise ArgumentTypeError(f'must be from 0 to 100, got {text}')
    return share


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Figures of predictions in a file, with 95 % intervals, in percent. No model is built and no '
                    'weights are needed. What has no prediction counts 0 and is listed. docs/evaluate.md has the '
                    'formats and protocols.')
    parser.add_argument('predictions', nargs='+', metavar='PREDICTIONS',
                        help='JSON, JSON Lines or a folder of PNG; several for several seeds of one model')
    parser.add_argument('--on', required=True, metavar='CONFIG',
                        help='file, or name such as refcoco-plus, of a config with a test_dataloader')
    parser.add_argument('--split', nargs='+', metavar='SPLIT',
                        help="splits of the data set (default: those that the file names, or else the config's)")
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, metavar='NAME',
                        help=f"of {', '.join(PROTOCOLS)} (default: the file's first, or else the config's)")
    parser.add_argument('--against', nargs='+', metavar='OTHER',
                        help='predictions of another model, as many files: differences to it, paired by expression')
    parser.add_argument('--reannotated', metavar='FILE',
                        help='other masks of truth, in the formats of predictions: figures of the expressions that '
                             'have one, with the published masks and with these, beside those of all')
    parser.add_argument('--by', nargs='+', choices=GROUPINGS, default=[], metavar='GROUPING',
                        help=f"also figures of groups of expressions, by {', '.join(GROUPINGS)}")
    parser.add_argument('--boundary', action='store_true', help='also boundary IoU, as bIoU')
    parser.add_argument('--max-unmatched', type=percent, default=5, metavar='PERCENT',
                        help='share of predictions that may belong to no expression (default: 5)')
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='write all numbers and lists here')
    return parser


def read_files(files: Sequence[str]) -> list[Predictions]:
    """Read each file of predictions."""
    return [read_predictions(file) for file in files]


def choose_metrics(config: Config, args: Namespace, files: Sequence[Predictions]) -> list[ExpressionMetric]:
    """The metrics of the config, under the protocols asked for, or else those of the files that the config has, too.

    Raises:
        InputError: a file calls other rules by the name of a protocol that is asked for.
    """
    made = next((list(file.protocols.values()) for file in files if file.protocols), None)
    asked = args.protocol or [protocol.to_dict() for protocol in made or ()][:1] or None
    configs = evaluators(config)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        if args.protocol or not made or protocols_of(configs)[0] != made[0]:
            configs = evaluators(config, asked)
        metrics = counting_metrics(configs)
        if made and not args.protocol:  # of the config's protocols those that there are masks for
            for metric in metrics:
                metric.protocols = tuple(protocol for protocol in metric.protocols if protocol in made)
            metrics = [metric for metric in metrics if metric.protocols]
        for metric in metrics:
            metric.by, metric.boundary = tuple(dict.fromkeys((*metric.by, *args.by))), metric.boundary or args.boundary
    for protocol in all_protocols(metrics):
        for file in files:
            other = file.protocols.get(protocol.name, protocol)
            if other.mask_rules != protocol.mask_rules:
                raise InputError(f'{file.path} was made under other rules by the name {protocol.name}: {other}; asked '
                                 f'for were {protocol}')
    return metrics


def all_protocols(metrics: Sequence[ExpressionMetric]) -> list[Protocol]:
    """The protocols of metrics by their order."""
    return list({protocol.name: protocol for metric in metrics for protocol in metric.protocols}.values())


def read_splits(config: Config, names: Sequence[str] | None, file: Predictions) -> list[Split]:
    """The expressions of each split.

    Raises:
        MissingInputError: the data set isn't there.
        InputError: the config tests on no referring data set, or a split is unknown or empty.
    """
    dataset = dataset_config(config, 'test')
    kind = dataset_class(dataset)
    if not isclass(kind) or not issubclass(kind, BaseReferringDataset):
        raise InputError(f'{config.filename} tests on a {dataset["type"]}; expected was a data set of mmrefseg, such '
                         'as RefCOCODataset')
    named = [split for split in file.splits if split is not None]
    return [_read_split(dataset, name) for name in dict.fromkeys(names or named or [dataset.get('split', 'train')])]


def _read_split(config: Mapping[str, Any], name: str) -> Split:
    suffix = next(filter(name.endswith, OTHERWISE), '')
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        dataset = build_unread(config, split=name.removesuffix(suffix), unit='sentence')
        dataset.full_init()
        asked = DATASETS.build({**OTHERWISE[suffix], 'dataset': dataset}) if suffix else dataset
    infos = [asked.get_data_info(index) for index in range(len(dataset))]
    if not infos:
        raise InputError(f'{dataset.title} has no expression in its split {name}')
    return Split(name, infos, dataset.data_prefix['img_path'], dataset)


def match(file: Predictions, splits: Sequence[Split], most: float) -> tuple[dict[str, Matched], list[str]]:
    """Split → its answers, and what belongs to no expression; answers without a split may belong to any.

    Raises:
        InputError: too many belong to no expression, or several to one.
    """
    everywhere, asked = file.splits.get(None, []), {split.name: file.splits.get(split.name, []) for split in splits}
    matched = {split.name: match_predictions(split.infos, [*asked[split.name], *everywhere], split.image_folder)
               for split in splits}
    refused = [(id(prediction), prediction, reason) for found in matched.values()
               for prediction, reason in found.unmatched]
    times, tried = Counter(key for key, *_ in refused), dict.fromkeys(map(id, everywhere), len(splits))
    nowhere = {key: found for key, *found in refused if times[key] == tried.get(key, 1)}
    number = len(everywhere) + sum(map(len, asked.values()))
    if not number:
        raise InputError(f'{file.path} holds no predictions for {", ".join(asked)}'
                         + (f'; it has {", ".join(filter(None, file.splits))}' if any(file.splits) else ''))
    refuse_strangers(list(nowhere.values()), number, most)
    return matched, [f'{prediction.where}: {reason}' for prediction, reason in nowhere.values()]


def add_reannotated(splits: Sequence[Split], matched: Sequence[dict[str, Matched]], path: str,
                    most: float) -> tuple[list[Split], dict[str, dict[str, float]]]:
    """Put two splits behind each that has expressions with other masks of truth, and their answers into ``matched``.

    Returns:
        All splits; and split → number of such expressions, and mIoU of the published masks with the others.

    Raises:
        InputError: too many of the masks belong to no expression, or one is damaged.
    """
    found, _ = match(read_predictions(path), splits, most)
    everything, told = [], {}
    for split in splits:
        everything.append(split)
        other = reannotate(split.infos, found[split.name].answers)
        if other is None:
            continue
        told[split.name] = {'expressions': len(other.indices), 'agreement': other.agreement}
        published = [split.infos[index] for index in other.indices]
        new = [split._replace(name=f'{split.name} (published)', infos=published),
               split._replace(name=f'{split.name} (re-annotated)', infos=other.infos, published=published)]
        everything += new
        for of_file in matched:
            answers = [of_file[split.name].answers[index] for index in other.indices]
            of_file |= {part.name: Matched(answers, [], []) for part in new}
    return everything, told


def ratios_of(counted: Mapping[str, ExpressionCounts],
              metrics: Sequence[ExpressionMetric]) -> dict[str, dict[str, Ratio]]:
    """Protocol → figures, before they are summed."""
    return {protocol.name: {'/'.join(filter(None, (metric.prefix, name))): ratio
                            for metric in metrics if protocol in metric.protocols
                            for name, ratio in metric.ratios(counted[protocol.name], protocol).items()}
            for protocol in all_protocols(metrics)}


def evaluate_split(split: Split, ours: Sequence[Matched], theirs: Sequence[Matched],
                   metrics: Sequence[ExpressionMetric]) -> dict[str, Any]:
    """What is reported of a split."""
    protocols, boundary = all_protocols(metrics), any(metric.boundary for metric in metrics)
    counted = [count_predictions(split.infos, matched.answers, protocols, boundary) for matched in (*ours, *theirs)]
    seeds = [ratios_of(of_file, metrics) for of_file in counted]
    seeds, others = seeds[:len(ours)], seeds[len(ours):]
    if split.published and not theirs:
        others = [ratios_of(count_predictions(split.published, matched.answers, protocols, boundary), metrics)
                  for matched in ours]
    images = [key_of(info['image_id']) for info in split.infos]
    report: dict[str, Any] = {
        'expressions': len(images), 'images': len(set(images)),
        'without_target': int(np.count_nonzero(counted[0][protocols[0].name].areas == 0)),
        'missing': [[_names(info) for info, answer in zip(split.infos, matched.answers, strict=True) if answer is None]
                    for matched in ours],
        'other_texts': [[prediction.where for prediction in matched.other_texts] for matched in ours],
        'figures': {}, 'differences': {}}
    for protocol in seeds[0]:
        rows = [seed[protocol] for seed in seeds]
        report['figures'][protocol] = estimate_figures(rows, images)
        if others:
            report['differences'][protocol] = compare_figures(rows, [other[protocol] for other in others], images)
    return report


def _names(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: info[key] for key in ('sent_id', 'ref_id', 'image_id', 'text')}


def figures_table(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """All figures, a row each."""
    compared = any(report['differences'] for report in reports.values())
    made = Table('split', 'protocol', 'figure', box=box.SIMPLE_HEAD, caption_justify='left', caption=(
        'needs: expressions on images like these that show such a difference in 4 of 5 cases' if compared else None))
    for column in ('value', '95 % interval', *(('difference', '95 % interval', 'needs') if compared else ())):
        made.add_column(column, justify='right')
    for split, report in reports.items():
        for protocol, figures in report['figures'].items():
            differences = report['differences'].get(protocol, {})
            for index, (figure, found) in enumerate(figures.items(), 1):
                row = [f'{found.mean:.2f}', _interval(found.low, found.high, '.2f')]
                if other := differences.get(figure):
                    row += [f'{other.mean:+.2f}', _interval(other.low, other.high, '+.2f'), str(other.needed or '-')]
                made.add_row(split, protocol, figure, *row, end_section=index == len(figures))
    return made


def _interval(low: float | None, high: float | None, form: str) -> str:
    return '-' if low is None else f'{low:{form}} to {high:{form}}'


def print_lists(name: str, report: Mapping[str, Any], files: Sequence[str]) -> None:
    """Say what is missing, and whose text is another."""
    for file, missing, others in zip(files, report['missing'], report['other_texts'], strict=True):
        print_some(f'{name}: {{}} expressions have no prediction in {file} and count 0', missing)
        print_some(f'{name}: {{}} predictions in {file} carry another text than their expression', others)


def print_some(what: str, entries: Sequence[Any]) -> None:
    """Print the number of entries and the first of them, if there are any."""
    if entries:
        more = ['...'] * (len(entries) > SHOWN_ENTRIES)
        print('\n  '.join((f'{what.format(len(entries))}:', *map(str, entries[:SHOWN_ENTRIES]), *more)))


def evaluate_file(args: Namespace) -> None:
    """Evaluate a file of predictions and print the figures."""
    if args.out:
        check_writable(args.out.parent)
    config = read_config(args.on, needs_model=False)
    ours, theirs = read_files(args.predictions), read_files(args.against or ())
    if theirs and len(ours) != len(theirs):
        raise InputError(f'{len(ours)} files of predictions and {len(theirs)} in --against: give as many, seed by seed')
    metrics = choose_metrics(config, args, [*ours, *theirs])
    splits = read_splits(config, args.split, ours[0])
    matched = [match(file, splits, args.max_unmatched) for file in (*ours, *theirs)]
    told: dict[str, dict[str, float]] = {}
    if args.reannotated:
        splits, told = add_reannotated(splits, [found for found, _ in matched], args.reannotated, args.max_unmatched)
    reports = {}
    for split in splits:
        of_split = [found[split.name] for found, _ in matched]
        reports[split.name] = evaluate_split(split, of_split[:len(ours)], of_split[len(ours):], metrics)
    print_tables(figures_table(reports))
    for split, report in reports.items():
        print(f'{split}: {report["expressions"]} expressions on {report["images"]} images, '
              f'{report["without_target"]} of them without a target')
        print_lists(split, report, args.predictions)
    for name, of_split in told.items():
        print(f'{name}: {of_split["expressions"]} expressions are re-annotated; the published masks have an mIoU of '
              f'{of_split["agreement"]:.2f} with those')
    unmatched = {file.path: nowhere for file, (_, nowhere) in zip((*ours, *theirs), matched, strict=True)}
    for file, nowhere in unmatched.items():
        print_some(f'{{}} predictions in {file} belong to no expression', nowhere)
    for protocol in all_protocols(metrics):
        print(f'Protocol {protocol}')
    if args.out:
        rules = {protocol.name: protocol.to_dict() for protocol in all_protocols(metrics)}
        write_json({'predictions': args.predictions, 'against': args.against, 'on': args.on, PROTOCOLS_KEY: rules,
                    'unmatched': unmatched, 'reannotated': told, 'splits': reports}, args.out)
        print(f'All numbers are in {args.out}')


def main() -> None:
    """Evaluate as the command line says."""
    command_line.run(make_parser(), evaluate_file)


if __name__ == '__main__':
    main()
