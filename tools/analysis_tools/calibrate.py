"""Find how sure answers may be, from a file of tools/test.py --out: calibrate.py PREDICTIONS --fit val --on testA"""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmrefseg.apis import command_line
from mmrefseg.datasets.dataset_configs import OTHERWISE
from mmrefseg.errors import InputError
from mmrefseg.evaluation.functional.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    reliability,
)
from mmrefseg.evaluation.predictions import Prediction, read_predictions
from mmrefseg.utils.files import write_json
from mmrefseg.visualization.reliability_diagram import draw_calibration


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Fit the confidence of answers, the probability that a mask overlaps its referent by half, on one '
                    'split, and tell on others how well it holds (expected calibration error, ECE).')
    parser.add_argument('predictions', type=Path, help='file that tools/test.py --out wrote')
    parser.add_argument('--fit', default='val', metavar='SPLIT', help='split to fit on (default: val)')
    parser.add_argument('--on', nargs='+', metavar='SPLIT', help='splits to measure on (default: all the others)')
    parser.add_argument('--out', type=Path, metavar='DIR',
                        help='folder for calibration.json and calibration.png (default: that of the file)')
    return parser


def answers_of(predictions: Sequence[Prediction], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Expected overlaps, and whether each answer overlaps its referent by half."""
    rows = []
    for prediction in predictions:
        try:
            values = [prediction.entry[key] for key in ('overlap', 'intersection', 'union')]
        except KeyError as error:
            raise InputError(f'{prediction.where} has no {error}: test the model again with tools/test.py '
                             '--out') from None
        if any(type(value) not in (int, float) for value in values) or not (
                0 <= values[0] <= 1 and 0 <= values[1] <= values[2] < float('inf')):
            raise InputError(f'{prediction.where}: overlap must be a number from 0 to 1, intersection and union '
                             'numbers of pixels, and no intersection larger than its union')
        rows.append((values[0], 2 * values[1] > values[2]))
    if not rows:
        raise InputError(f'there are no predictions of the split {split}')
    overlaps, hits = zip(*rows, strict=True)
    return np.array(overlaps), np.array(hits)


def calibrate(args: Namespace) -> None:
    """Fit, measure, write and draw."""
    splits = {split: found for split, found in read_predictions(args.predictions).splits.items()
              if split and not split.endswith(tuple(OTHERWISE))}
    on = args.on or [split for split in splits if split != args.fit] or [args.fit]
    for split in (args.fit, *on):
        if split not in splits:
            raise InputError(f'{args.predictions} has no split {split!r}; it has {", ".join(splits)}')
    fitted, curves, errors = fit_calibration(*answers_of(splits[args.fit], args.fit)), {}, {}
    for split in on:
        overlaps, hits = answers_of(splits[split], split)
        errors[split] = {}
        for name, rule in (('before', Calibration()), ('after', fitted)):
            confidences = rule(overlaps)
            errors[split][name] = 100 * expected_calibration_error(confidences, hits)
            curves[f'{split}, {name}: ECE {errors[split][name]:.1f} %'] = reliability(confidences, hits)
        print(f'{split}: ECE {errors[split]["before"]:.1f} % before, {errors[split]["after"]:.1f} % after, of '
              f'{len(hits)} answers')
    out = args.out or args.predictions.parent
    write_json(dict(fit=args.fit, **fitted._asdict(), ece=errors), out / 'calibration.json')
    draw_calibration(curves, out / 'calibration.png')
    numbers = f'temperature={fitted.temperature:.4g}, shift={fitted.shift:.4g}'
    print(f'model = dict(test_cfg=dict(calibration=dict({numbers})))\nin the config gives answers their confidence; '
          f'{out / "calibration.png"} shows it')


def main() -> None:
    """Calibrate as the command line says."""
    command_line.run(make_parser(), calibrate)


if __name__ == '__main__':
    main()
