"""See where a model fails: analyze_errors.py PREDICTIONS --on CONFIG [--split val] --out DIR."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from evaluate_predictions import choose_metrics, match, percent, print_some, read_splits
from rich.progress import track

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import read_config
from mmrefseg.datasets import LoadReferringImage, LoadReferringMask
from mmrefseg.errors import InputError
from mmrefseg.evaluation import PROTOCOLS, Protocol
from mmrefseg.evaluation.failures import Facts, choose_examples, collect_facts, report_failures
from mmrefseg.evaluation.predictions import Prediction, read_predictions
from mmrefseg.evaluation.predictions.counting import mask_pairs
from mmrefseg.evaluation.predictions.matching import file_name_of
from mmrefseg.utils.field_checks import key_of
from mmrefseg.utils.files import check_writable, refuse_overwriting, write_atomically, write_json
from mmrefseg.visualization.failure_page import draw_example, failure_page

PAGE, NUMBERS_FILE = 'errors.html', 'errors.json'


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description=f'Write {PAGE}, one page about where and how the answers of a file fail, with examples, and '
                    f'{NUMBERS_FILE} with all its numbers. No model is built. docs/evaluate.md tells the classes of '
                    'failures.')
    parser.add_argument('predictions', metavar='PREDICTIONS', help='JSON, JSON Lines or a folder of PNG')
    parser.add_argument('--on', required=True, metavar='CONFIG',
                        help='file, or name such as refcoco-plus, of a config with a test_dataloader')
    parser.add_argument('--split', metavar='SPLIT',
                        help="split of the data set (default: the first that the file names, or else the config's)")
    parser.add_argument('--protocol', nargs=1, choices=PROTOCOLS, metavar='NAME',
                        help=f"one of {', '.join(PROTOCOLS)} (default: the file's first, or else the config's)")
    parser.add_argument('--examples', type=int, default=24, metavar='N',
                        help='pictures of the worst, of the median and of the best, and half as many of each class of '
                             'failures; 0 needs no images (default: 24)')
    parser.add_argument('--max-unmatched', type=percent, default=5, metavar='PERCENT',
                        help='share of predictions that may belong to no expression (default: 5)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for the two files')
    parser.set_defaults(by=(), boundary=False)
    return parser


def expression_entry(index: int, info: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """What the file of numbers says of each expression."""
    return {
        **{key: info.get(key) for key in ('sent_id', 'ref_id', 'image_id')},
        'text': info['text'],
        'file_name': file_name_of(info['img_path'], info.get('image_folder', '')),
        'iou': 100 * float(facts.ious[index]),
        'failure': facts.failures[index],
        'kind': facts.kinds[index],
        'words': int(facts.counted.lengths[index]),
        'area': int(facts.counted.areas[index]),
        'position': facts.positions[index],
        'others_of_its_category': facts.same_category[index],
    }


def draw_failure(info: Mapping[str, Any], answer: Prediction | None, protocol: Protocol) -> np.ndarray:
    """A small picture of image, truth and answer."""
    loaded = LoadReferringMask().transform(LoadReferringImage().transform(dict(info)))
    mask, truth = next(mask_pairs([info], [answer], [protocol])).frames[protocol.name]
    shown = mask.numpy().astype(np.uint8) if answer else np.zeros_like(truth, np.uint8)
    height, width = loaded['ori_shape']
    shown = cv2.resize(shown, (width, height), interpolation=cv2.INTER_NEAREST)
    return draw_example(loaded['img'], loaded['gt_seg_map'], shown)


def analyze_errors(args: Namespace) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The report, and pictures of its examples.

    Raises:
        InputError: the number of examples is negative, or the files, the split or an answer isn't as it should be.
        MissingInputError: a file or an image is missing.
    """
    if args.examples < 0:
        raise InputError(f'--examples must be 0 or more, got {args.examples}')
    config, file = read_config(args.on, needs_model=False), read_predictions(args.predictions)
    metric = choose_metrics(config, args, [file])[0]
    metric.by, protocol = (), metric.protocols[0]  # groups have tables of their own
    named = args.split or next((split for split in file.splits if split is not None), None)
    split = read_splits(config, [named] if named else None, file)[0]
    matched, unmatched = match(file, [split], args.max_unmatched)
    answers, other_texts = matched[split.name].answers, matched[split.name].other_texts
    facts = collect_facts(split.infos, answers, split.dataset.objects(), protocol, getattr(metric, 'min_pixels', 1))
    chosen = choose_examples(facts.ious, facts.failures, args.examples) if args.examples else {}
    rows = [expression_entry(index, info, facts) for index, info in enumerate(split.infos)]
    report = {
        'predictions': args.predictions, 'on': args.on, 'split': split.name, 'protocol': protocol.to_dict(),
        'protocol_text': str(protocol), 'expressions': len(rows),
        'images': len({key_of(info['image_id']) for info in split.infos}),
        'without_target': int(np.count_nonzero(facts.counted.areas == 0)),
        'missing': answers.count(None), 'unmatched': unmatched,
        'other_texts': [prediction.where for prediction in other_texts],
        **report_failures(facts, metric.ratios(facts.counted, protocol), answers),
        'examples': [{**rows[index], 'choice': reasons} for index, reasons in chosen.items()],
        'rows': rows,
    }
    return report, _pictures(split.infos, answers, list(chosen), protocol)


def _pictures(infos: Sequence[Mapping[str, Any]], answers: Sequence[Prediction | None], indices: Sequence[int],
              protocol: Protocol) -> list[np.ndarray]:
    return [draw_failure(infos[index], answers[index], protocol)
            for index in track(indices, 'examples', disable=not indices)]


def write(args: Namespace) -> None:
    """Write the two files, and say what stands out."""
    check_writable(args.out)
    for name in (PAGE, NUMBERS_FILE):
        refuse_overwriting(args.out / name, [args.predictions, args.on])
    report, pictures = analyze_errors(args)
    write_json(report, args.out / NUMBERS_FILE)
    write_atomically(failure_page(report, pictures).encode('utf-8', 'replace'), args.out / PAGE)
    print_some(f'{report["split"]}: {{}} predictions belong to no expression', report['unmatched'])
    print(f'{report["split"]}: {report["failures"]["number"]} of {report["expressions"]} answers fail; '
          f'{report["missing"]} expressions have no prediction')
    for entry in report['stands_out']:
        print(f'  {entry["grouping"]}: {entry["name"]}: {entry["failed"]["mean"]:.1f} % of {entry["expressions"]} fail')
    print(f'{args.out / PAGE} shows more')


def main() -> None:
    """Analyze as the command line says."""
    command_line.run(make_parser(), write)


if __name__ == '__main__':
    main()
