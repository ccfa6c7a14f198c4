"""Report on a training: figures, loss and routing over time, and test samples with their predictions."""
from __future__ import annotations

import argparse
import random
import statistics
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmrefseg.apis import command_line
from mmrefseg.datasets import LoadReferringImage, LoadReferringMask
from mmrefseg.datasets.dataset_configs import OTHERWISE
from mmrefseg.errors import InputError
from mmrefseg.evaluation.predictions import PROTOCOLS_KEY
from mmrefseg.registry import DATASETS
from mmrefseg.structures.mask_formats import rle_to_mask
from mmrefseg.utils.collect_env import machine, versions
from mmrefseg.utils.field_checks import key_of
from mmrefseg.utils.files import read_json_object, write_atomically, write_json
from mmrefseg.utils.text_formatting import markdown_table
from mmrefseg.visualization import Sample, draw_curves, draw_samples, find_runs, read_log

NUM_SAMPLES = 12
KEPT = 0.9  # share of its old mIoU from which on a model is said to have kept it
IGNORANT = 0.5  # share of its mIoU that a model keeps with other expressions, from which on it is warned of
SAMPLING_SEED = 0


def duration(text: str) -> tuple[str, float]:
    """Read a step and its seconds from a word such as ``training=212``."""
    name, seconds = text.split('=')
    return name, float(seconds)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description='Write report.json, report.md, curves.png and samples.png into the work dir of a training, from '
                    'what tools/train.py and tools/test.py left there.')
    parser.add_argument('work_dir', type=Path, help='work dir with <time>/vis_data/ of a training, and metrics.json')
    parser.add_argument('--predictions', type=Path,
                        help="file that tools/test.py wrote by --out (default: the work dir's predictions.json)")
    parser.add_argument('--durations', type=duration, nargs='*', default=[], metavar='NAME=SECONDS',
                        help='how long each step took, for the report, such as data=21 training=212')
    return parser


def collect_figures(metrics: dict, log: dict, config: Config, durations: dict[str, float]) -> dict[str, Any]:
    """All figures of the report; those of the splits stand under the splits' names."""
    times = [scalars['time'] for scalars in log.values() if 'time' in scalars]
    return {
        **metrics,
        'iterations': config.train_cfg.get('max_iters', max(log)),
        'seconds_per_step': statistics.median(times[1:] or times),  # the first holds the start of the workers
        'seed': config.get('randomness', {}).get('seed'),
        'durations': durations,
        'machine': machine(),
        'versions': versions(),
    }


def pick_samples(predictions: dict[str, list[dict]], config: Config) -> list[Sample]:
    """Draw test expressions at random, in turn from each kind of expression and split.

    Raises:
        InputError: a prediction is of an expression that the data set doesn't hold.
    """
    groups: dict[str, dict[str, list]] = {}
    for split, answers in predictions.items():
        if split.endswith(tuple(OTHERWISE)):
            continue
        dataset = DATASETS.build({**config.test_dataloader.dataset, 'split': split, 'pipeline': []})
        infos = {key_of(info['sent_id']): info for info in map(dataset.get_data_info, range(len(dataset)))}
        for answer in answers:
            if key_of(answer['sent_id']) not in infos:
                raise InputError(f'the predictions for {split} hold sent_id {answer["sent_id"]}, which is not in '
                                 f'{dataset.data_root}: were they made with other data?')
            info = infos[key_of(answer['sent_id'])]
            groups.setdefault(info['kind'], {}).setdefault(split, []).append((split, info, answer))
    generator = random.Random(SAMPLING_SEED)
    shuffled = [
        generator.sample(group, min(NUM_SAMPLES, len(group))) for _, by_split in sorted(groups.items())
        for group in by_split.values()
    ]
    in_turn = [sample for turn in zip_longest(*shuffled) for sample in turn if sample is not None]
    return [to_sample(*sample) for sample in in_turn[:NUM_SAMPLES]]


def to_sample(split: str, info: dict, answer: dict) -> Sample:
    """Load what the grid shows of one expression."""
    loaded = LoadReferringMask().transform(LoadReferringImage().transform(dict(info)))
    return Sample(
        image=loaded['img'],
        ground_truth=loaded['gt_seg_map'],
        prediction=rle_to_mask(answer['segmentation'], *loaded['ori_shape']),
        expression=answer['text'],
        iou=answer['intersection'] / max(answer['union'], 1),
        origin=', '.join(filter(None, (split, info['kind']))))


def control_line(metrics: dict[str, dict[str, float]]) -> str:
    """Whether the model reads its expressions, in a sentence; empty without the figures."""
    if not {'val', 'val_shuffled'} <= metrics.keys():
        return ''
    own, shuffled = metrics['val']['mIoU'], metrics['val_shuffled']['mIoU']
    verdict = ('it reads its expressions' if shuffled < own / 2 else
               'that is not below a half, so it hardly reads its expressions')
    return (f'`val_shuffled` is the control: the same model and images, but the expressions changed places. Its mIoU '
            f'is {shuffled:.1f} against {own:.1f} with the right expressions: {verdict}.\n')


def read_probe(work_dir: Path) -> dict[str, Any]:
    """What tools/analysis_tools/probe_language.py found, by split; empty where it wasn't run."""
    file = work_dir / 'probe.json'
    return read_json_object(file, 'mmrefseg probe').get('splits', {}) if file.is_file() else {}


def probe_lines(probed: dict[str, Any]) -> str:
    """What the model does when it is asked otherwise, with a warning where it does the same; empty where untried."""
    said = [f'`mmrefseg probe` on {split}: {sentence}.\n' for split, found in probed.items()
            for sentence in found['verdicts']]
    return ''.join((*map(warning, probed.values()), *said))


def warning(found: dict[str, Any]) -> str:
    """That language no longer matters; empty where it does, or isn't known."""
    asked = found['asked'].get('permuted')
    own, other = ((asked[key]['mIoU']['mean'] for key in ('own', 'figures')) if asked else (0, 0))
    if other < IGNORANT * own or not own:
        return ''
    return (f'**Warning: the words hardly matter to this model.** With the expressions of other images it keeps '
            f'{100 * other / own:.0f} % of its mIoU. It answers by what the pictures look like: train on more '
            'expressions per picture, on several things per picture, for fewer epochs, or with old data mixed in.\n\n')


def read_comparison(folder: Path) -> dict[str, dict]:
    """What ``tools/test.py --against`` found, by split; empty where it wasn't run."""
    file = folder / 'against.json'
    return read_json_object(file, 'tools/test.py --against').get('splits', {}) if file.is_file() else {}


def comparison_lines(own: dict[str, dict], old: dict[str, dict]) -> str:
    """What training changed, by split of one's own and of the old data; empty where it wasn't measured."""
    if not own and not old:
        return ''
    named = {**own, **{f'{split} of the old data': found for split, found in old.items()}}
    rows = []
    for split, found in named.items():
        miou = found['differences']['mIoU']
        interval = '' if miou['low'] is None else f'{miou["low"]:+.1f} to {miou["high"]:+.1f}'
        rows.append((split, found['expressions'], *_before_and_after(found, 'mIoU'), f'{miou["mean"]:+.1f}', interval,
                     *_before_and_after(found, 'Pr@50')))
    head = ('split', 'expressions', 'mIoU before', 'after', 'difference', '95 % interval', 'Pr@50 before', 'after')
    said = [*(f'On {split} {_change(found)}.' for split, found in own.items()),
            *(f'On {split} of the old data {_kept(found)}.' for split, found in old.items())]
    return '\n'.join(['## Before and after\n', 'The same expressions, asked of the model that training started from.\n',
                      markdown_table(head, rows) + '\n', *(f'{sentence}\n' for sentence in said), ''])


def _before_and_after(found: dict, figure: str) -> list[str]:
    return [f'{found[which][figure]["mean"]:.1f}' for which in ('against', 'figures')]


def _change(found: dict) -> str:
    """What became of the mIoU, in words."""
    before, after = _before_and_after(found, 'mIoU')
    low, high = (found['differences']['mIoU'][end] for end in ('low', 'high'))
    if low is None or low <= 0 <= high:
        return (f'nothing can be said: mIoU went from {before} to {after}, which other pictures of this kind might '
                'turn around; test on more')
    return (f'mIoU rose from {before} to {after}' if low > 0 else
            f'the model got worse: mIoU fell from {before} to {after}')


def _kept(found: dict) -> str:
    """How much of the mIoU on old data was kept, in words."""
    before, after = (found[which]['mIoU']['mean'] for which in ('against', 'figures'))
    kept = after / before if before else 1.0
    verdict = 'it kept what it knew' if kept >= KEPT else 'it forgot: raise --keep, or --interpolate less far'
    return f'mIoU was {before:.1f} and is {after:.1f}, {100 * kept:.0f} %: {verdict}'


def to_markdown(report: dict[str, Any], metrics: dict[str, dict[str, float]], counts: dict[str, int], name: str) -> str:
    """The report for people; figures stand beside the number of expressions that they are of, where it is known."""
    names = tuple(dict.fromkeys(figure for figures in metrics.values() for figure in figures))
    # A figure that no expression of a split bears on is left out there.
    rows = [(split, counts.get(split, ''), *(f'{figures[figure]:.1f}' if figure in figures else '' for figure in names))
            for split, figures in metrics.items()]
    gpu = report['machine']['gpu']
    training = [
        ('iterations', report['iterations']),
        ('seconds per step (median)', f'{report["seconds_per_step"]:.3f}'),
        ('seed', 'random' if report['seed'] is None else report['seed']),
        *((f'minutes for {step}', f'{seconds / 60:.1f}') for step, seconds in report['durations'].items()),
        ('machine', f'{report["machine"]["cpu"]}, {report["machine"]["cores"]} cores' + (f', {gpu}' if gpu else '')),
        ('versions', ', '.join(f'{library} {number}' for library, number in report['versions'].items())),
    ]
    compared = report['before']
    return '\n'.join([
        f'# {name}\n', 'Figures in percent, over all expressions of a split.\n',
        markdown_table(('split', 'expressions', *names), rows) + '\n',
        control_line(metrics), probe_lines(report['probe']), comparison_lines(compared['own'], compared['old']),
        '## Training\n', markdown_table(('', ''), training) + '\n',
        '![loss, learning rate and routing over the iterations](curves.png)\n', '## Samples\n',
        'Drawn at random, in turn from each kind of expression and split; none was chosen by hand.\n',
        '![image, ground truth, prediction, expression and IoU of test samples](samples.png)\n'
    ])


def write_report(work_dir: Path, predictions_file: Path, durations: dict[str, float]) -> dict[str, dict[str, float]]:
    """Write the four files; returns the figures by split."""
    metrics = read_json_object(work_dir / 'metrics.json', 'tools/test.py')
    predictions = read_json_object(predictions_file, 'tools/test.py --out')
    for content in (metrics, predictions):
        content.pop(PROTOCOLS_KEY, None)  # beside the splits
    counts = {split: len(answers) for split, answers in predictions.items()}
    log = read_log(work_dir)
    config = Config.fromfile(find_runs(work_dir)[-1] / 'config.py')
    report = {**collect_figures(metrics, log, config, durations), 'probe': read_probe(work_dir),
              'before': {'own': read_comparison(work_dir), 'old': read_comparison(work_dir / 'old_data')}}
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        draw_samples(pick_samples(predictions, config), work_dir / 'samples.png')
    draw_curves(log, work_dir / 'curves.png')
    write_json(report, work_dir / 'report.json')
    write_atomically(to_markdown(report, metrics, counts, work_dir.resolve().name).encode(), work_dir / 'report.md')
    return metrics


def report_training(args: argparse.Namespace) -> None:
    """Write the report and print the figures."""
    metrics = write_report(args.work_dir, args.predictions or args.work_dir / 'predictions.json', dict(args.durations))
    for split, figures in metrics.items():
        print(f'{split:13}', '  '.join(f'{name} {value:5.1f}' for name, value in figures.items()))
    print(f'report.json, report.md, curves.png and samples.png are in {args.work_dir}')


def main() -> None:
    """Report as the command line says."""
    command_line.run(make_parser(), report_training)


if __name__ == '__main__':
    main()
