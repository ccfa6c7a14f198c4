"""Fine-tune a model on a folder of your own data, and report on it: tools/finetune.py DIR --from CHECKPOINT"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import mmrefseg
from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.apis.finetuning_config import TUNINGS, config_of, finetune_config, look_at
from mmrefseg.checkpoints.latest_checkpoint import noted_checkpoint, refuse_another_run
from mmrefseg.checkpoints.loading import find_weights, load_checkpoint
from mmrefseg.checkpoints.module_weights import checkpoint_bytes
from mmrefseg.checkpoints.weight_interpolation import interpolate
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.files import check_writable, open_atomically, open_regular, read_json_object, write_atomically
from mmrefseg.utils.shipped_files import shipped_folder
from mmrefseg.utils.worker_processes import die_with

CONFIG_FILE = 'finetune.py'
FINAL_CHECKPOINT = 'finetuned.pth'
RESULTS = ('predictions.json', 'metrics.json', 'against.json', 'probe.json', 'calibration.json', 'report.json',
           'report.md', 'samples.png', 'curves.png', 'errors', 'old_data')


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Tune a model on your own data: make the config, train, test, calibrate, and write report.md with '
                    'its pictures and a page of errors into the work folder. DIR is what "mmrefseg import" makes.')
    parser.add_argument('folder', metavar='DIR', help='folder of JSON Lines, with annotations/ and images/')
    parser.add_argument('--from', dest='start', metavar='CHECKPOINT',
                        help='where to start: a checkpoint of ours, whole or of what was trained, or a converted '
                             'official one (default: the pretrained encoders alone)')
    parser.add_argument('--config', help='config of the model, a path or a name such as sera_dinov2_refcoco (default: '
                                         'the one of ours whose copy lies beside the checkpoint)')
    parser.add_argument('--work-dir', type=Path, help='folder of results (default: work_dirs/finetune_<name of DIR>)')
    parser.add_argument('--epochs', type=int, help='passes through the data (default: 30)')
    parser.add_argument('--lr-scale', type=float, default=0.5,
                        help="learning rate as a share of the config's (default: 0.5)")
    parser.add_argument('--tune', choices=TUNINGS, help="what of the encoders trains (default: as in the config)")
    parser.add_argument('--may-differ', nargs='+', default=[], metavar='NAME',
                        help='beginnings of names of weights that need not fit the checkpoint, such as decode_head')
    parser.add_argument('--keep', type=float, default=0.0, metavar='N',
                        help='mix in N samples of the data that the config trains on per sample of yours (default: 0)')
    parser.add_argument('--absent', type=float, default=0.0, metavar='RATE',
                        help='ask a share of the samples for what is not there, such as 0.2, so that the model learns '
                             'to give no mask (default: 0)')
    parser.add_argument('--interpolate', type=float, metavar='SHARE',
                        help='take weights between those before and after: SHARE of the way, such as 0.5')
    parser.add_argument('--resume', action='store_true', help='continue a fine-tuning that was stopped')
    return parser


def run_tool(name: str, *arguments: str | Path, needed: bool = True) -> bool:
    """Run a tool in a process of its own; whether it did its work. If not, and it is needed, this process ends, too.

    It ends with this process, also when that is killed: nothing goes on unseen in the folder.
    """
    command = [sys.executable, shipped_folder('tools') / name, *map(str, arguments)]
    tied = partial(die_with, os.getpid()) if sys.platform == 'linux' else None
    status = subprocess.run(command, preexec_fn=tied).returncode
    if status and needed:
        sys.exit(status)
    return not status


def trained_checkpoint(work_dir: Path) -> Path:
    """The best checkpoint of a training, or the last where none is best."""
    best = sorted(work_dir.glob('best_*.pth'), key=lambda path: path.stat().st_mtime)
    found = best[-1] if best else noted_checkpoint(work_dir)
    if found is None:
        raise InputError(f'{work_dir} holds no checkpoint of the training')
    return found


def write_final(work_dir: Path, checkpoint: Path) -> Path:
    """Copy a checkpoint to the one name that doesn't tell the epoch."""
    with open_regular(checkpoint) as source, open_atomically(work_dir / FINAL_CHECKPOINT) as target:
        shutil.copyfileobj(source, target)
    return work_dir / FINAL_CHECKPOINT


def write_interpolated(config: Path, before: str, after: Path, share: float) -> Path:
    """Write the weights between two checkpoints beside the second."""
    weights = []
    for path in (before, after):
        model = build_model(read_config(config))
        weights.append(OrderedDict(find_weights(load_checkpoint(model, path))))
    meta = dict(mmrefseg_version=mmrefseg.__version__, interpolated=share)
    target = after.with_name(FINAL_CHECKPOINT)
    write_atomically(checkpoint_bytes(dict(meta=meta, state_dict=interpolate(*weights, share))), target)
    return target


def test_on_old_data(base: str, config: Path, checkpoint: Path, before: Sequence[str | Path], work_dir: Path) -> None:
    """Test the model on what its old config tests on, before and after."""
    old, tuned = read_config(base), read_config(config)
    old.model = tuned.model  # may have parts more, such as a presence output
    folder = work_dir / 'old_data'
    check_writable(folder)
    path = folder / f'{Path(base).stem}.py'
    write_atomically(old.pretty_text.encode(), path)
    run_tool('test.py', path, checkpoint, '--work-dir', folder, *before)


def report_on(config: Path, checkpoint: Path, work_dir: Path, splits: list[str], absent: bool,
              before: Sequence[str | Path]) -> None:
    """Test, also what was ``before``, ask otherwise, calibrate, and write the report and the error page."""
    predictions = work_dir / 'predictions.json'
    run_tool('test.py', config, checkpoint, '--work-dir', work_dir, '--splits', *splits,
             *(['--absent-splits', splits[0]] if absent else []), '--out', predictions, *before)
    run_tool('analysis_tools/probe_language.py', config, checkpoint, '--work-dir', work_dir, '--split', splits[0],
             '--changes', 'permuted', 'absent', 'places')
    # With very few pictures there may be nothing to fit, which the tool says.
    if run_tool('analysis_tools/calibrate.py', predictions, '--fit', splits[0], needed=False):
        found = read_json_object(work_dir / 'calibration.json', 'mmrefseg calibrate')
        whole = read_config(config)
        whole.model.test_cfg = {**whole.model.get('test_cfg', {}),
                                'calibration': {key: found[key] for key in ('temperature', 'shift')}}
        write_atomically(whole.pretty_text.encode(), config)
    run_tool('analysis_tools/quickstart_report.py', work_dir)
    run_tool('analysis_tools/analyze_errors.py', predictions, '--on', config, '--split', splits[0], '--out',
             work_dir / 'errors')


def refuse_earlier_results(work_dir: Path, config: bytes | None = None) -> None:
    """Refuse a folder that holds what another run, or an earlier one, found, or another config than this one."""
    found = [path.name for path in sorted(work_dir.glob('*.pth'))] + [
        name for name in RESULTS if os.path.lexists(work_dir / name)]
    if config is not None and os.path.lexists(path := work_dir / CONFIG_FILE):
        with open_regular(path) as file:
            found += [CONFIG_FILE] if file.read(len(config) + 1) != config else []
    refuse_another_run(work_dir, found)


def prepare_config(args: Namespace, work_dir: Path) -> tuple[Path, str, list[str]]:
    """Write the config, or take the one that is there; returns it, the model's config, and the splits to test."""
    if args.config is None and args.start is None:
        raise InputError('name a checkpoint with --from, or with --config the model to train from its pretrained '
                         'encoders, such as sera_dinov2_refcoco')
    base = args.config or config_of(args.start)
    data = look_at(args.folder)
    path = work_dir / CONFIG_FILE
    if args.resume:
        if not path.is_file():
            raise MissingInputError(f'{work_dir} holds no {CONFIG_FILE} of a run that could go on: leave --resume out, '
                                    'or name its --work-dir')
    else:
        refuse_earlier_results(work_dir)
        config = finetune_config(base, data, args.start, args.epochs, args.lr_scale, args.tune, args.may_differ,
                                 args.keep, args.absent)
        if '{{' in config.pretty_text:  # MMEngine would put something else there when it reads the file
            raise InputError(f'the path of the data or of the checkpoint has two braces, which mean something else in '
                             f'a config: rename {args.folder} or {args.start}')
        refuse_earlier_results(work_dir, config.pretty_text.encode())
        write_atomically(config.pretty_text.encode(), path)
        print(f'{data.train} objects to train on, in batches of {config.train_dataloader.batch_size}, '
              f'{config.train_cfg.max_epochs} times; the config is {path}')
    return path, base, data.tested


def finetune(args: Namespace) -> None:
    """Make the config, train, test and report."""
    if args.interpolate is not None and (args.start is None or not 0 <= args.interpolate <= 1):
        raise InputError('--interpolate takes a share from 0 to 1, and needs --from')
    if args.interpolate is not None and (args.absent or args.may_differ):
        raise InputError('--interpolate needs the same weights before and after: leave --absent and --may-differ out')
    name = re.sub(r'\W+', '_', Path(args.folder).absolute().name)
    work_dir = args.work_dir or Path('work_dirs', f'finetune_{name}')
    check_writable(work_dir)
    config, base, splits = prepare_config(args, work_dir)
    run_tool('train.py', config, '--work-dir', work_dir, *(['--resume'] if args.resume else []))
    checkpoint = trained_checkpoint(work_dir)
    if args.interpolate is None:
        checkpoint = write_final(work_dir, checkpoint)
    else:
        checkpoint = write_interpolated(config, args.start, checkpoint, args.interpolate)
    # What need not fit the checkpoint has no figures before.
    before = ['--against', base, args.start] if args.start and not args.may_differ else []
    if before and (args.keep or args.interpolate is not None):
        test_on_old_data(base, config, checkpoint, before, work_dir)
    report_on(config, checkpoint, work_dir, splits, bool(args.absent), before)
    print(f'\nThe model is {checkpoint}; read {work_dir / "report.md"}, and where it fails in {work_dir / "errors"}. '
          f'To ask it:\n  mmrefseg ask photo.jpg "the red cup" --config {config} --weights {checkpoint}')


def main() -> None:
    """Fine-tune as the command line says."""
    command_line.run(make_parser(), finetune,
                     interrupted='interrupted; to go on with all of it, type the same command with --resume')


if __name__ == '__main__':
    main()
