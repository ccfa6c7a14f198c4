"""Train the rows of a method's ablation on RefShapes with several seeds, test and compare them."""
from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from mmrefseg.apis import command_line
from mmrefseg.checkpoints.module_weights import checkpoint_bytes
from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.errors import InputError, UserError
from mmrefseg.utils.files import write_atomically
from mmrefseg.utils.locks import locked_file
from mmrefseg.utils.shipped_files import config_path

TOOLS = Path(__file__).resolve().parent
TESTED_SPLITS = ('val', 'testA', 'testB')


class Ablation(NamedTuple):
    """What is trained and compared in the ablation of one method.

    Args:
        image_size: side of the images in pixels.
        data: where the data is, and is made if it is not there.
        variants: row → config; the first is what the others are compared with.
        pretraining: config whose encoders the variants start from.
        encoders: beginning of the names of the encoders' weights → what weight files have in its place.
    """

    image_size: int
    data: Path
    variants: dict[str, str]
    pretraining: str
    encoders: dict[str, str]


ABLATIONS = {
    'sera': Ablation(168, Path('data/refshapes_168'), {
        'baseline': 'sera_tiny-168_baseline_refshapes',
        'adapter': 'sera_tiny-168_adapter-only_refshapes',
        'fusion': 'sera_tiny-168_fusion-only_refshapes',
        'both': 'sera_tiny-168_refshapes',
    }, 'sera_tiny-168_pretraining_refshapes', {'backbone.tower.': '', 'text_encoder.tower.': ''}),
    'segvlm': Ablation(112, Path('data/refshapes'), {
        'baseline': 'segvlm_tiny_baseline_refshapes',
        'raf': 'segvlm_tiny_raf_refshapes',
        'deformable': 'segvlm_tiny_raf-deformable_refshapes',
        'se': 'segvlm_tiny_raf-deformable-se_refshapes',
    }, 'segvlm_tiny_pretraining_refshapes', {'backbone.tower.': 'visual.', 'text_encoder.tower.': ''}),
}


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description="Train the rows of a method's ablation at the tiny size with equal budgets; test all, and write "
                    'comparison.md and comparison.json. What is finished already is not repeated: after Ctrl-C the '
                    'same command goes on.',
        formatter_class=ArgumentDefaultsHelpFormatter)
    parser.add_argument('method', choices=ABLATIONS, help='sera: without adapter and fusion, with either, with both; '
                                                          'segvlm: CRIS, then RAF loss, deformable convolution with '
                                                          'residual, and squeeze-and-excitation, one after the other')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/ablation_refshapes'), metavar='DIR',
                        help='folder for everything, one below it for each method and number of iterations')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='seeds of the trainings')
    parser.add_argument('--iterations', type=int, default=560,
                        help='length of each training but that of the encoders; the learning rate falls in the same '
                             'last third')
    return parser


def call(tool: str, *arguments: object) -> None:
    """Run one of the tools beside this file.

    Raises:
        UserError: it failed, and has said why.
    """
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    print('\n==', *command[1:], flush=True)
    if subprocess.run(command).returncode:
        raise UserError(f'{Path(tool).name} failed; see above. The same command tries again.')


def schedule(config: Config, iterations: int) -> list[str]:
    """Settings that make a training as long as asked, with the learning rate's course in proportion.

    Raises:
        InputError: the training is too short for a course of the learning rate.
    """
    if iterations < 3:
        raise InputError(f'--iterations is {iterations}; the learning rate needs 3 or more to rise and fall')
    warm_up, decay = config.param_scheduler
    begin = max(1, decay.begin * iterations // config.train_cfg.max_iters)
    return [f'train_cfg.max_iters={iterations}', f'param_scheduler.0.end={min(warm_up.end, begin)}',
            f'param_scheduler.1.begin={begin}', f'param_scheduler.1.end={iterations}']


def make_data(folder: Path, image_size: int, seed: int) -> None:
    """Make RefShapes, unless it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(folder.with_name(f'.{folder.name}.lock'), f'{folder} is being made', wait=True):
        if (folder / 'refshapes.json').is_file():
            return
        call('dataset_converters/refshapes.py', folder, '--image-size', image_size, image_size, '--seed', seed)


def train_variant(config: str, out: Path, data: Path, seed: int, iterations: int) -> Path:
    """Train one variant with one seed, unless that is done; return the checkpoint."""
    checkpoint = out / f'iter_{iterations}.pth'
    if not checkpoint.is_file():
        # The tests that follow take the place of validation.
        call('train.py', config, '--work-dir', out, *(['--resume'] if any(out.glob('*.pth')) else []),
             '--cfg-options', f'randomness.seed={seed}', f'train_dataloader.dataset.data_root={data}',
             'default_hooks.checkpoint.max_keep_ckpts=1', *schedule(Config.fromfile(config), iterations),
             'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
    return checkpoint


def pretrain(ablation: Ablation, out: Path) -> None:
    """Train the encoders and put their weights where the variants' configs look for them, unless they are there."""
    model = Config.fromfile(config_path(next(iter(ablation.variants.values())))).model
    files = {prefix: Path(model[prefix.split('.')[0]].init_cfg.checkpoint) for prefix in ablation.encoders}
    out.mkdir(parents=True, exist_ok=True)
    with locked_file(out / '.pretraining.lock', f'the encoders of {out} are being trained', wait=True):
        if not all(file.is_file() for file in files.values()):
            make_encoders(ablation, out, files)


def make_encoders(ablation: Ablation, out: Path, files: dict[str, Path]) -> None:
    """Train the encoders and write the files of their weights, by the beginning of the weights' names."""
    config = config_path(ablation.pretraining)
    settings = Config.fromfile(config)
    data = Path(settings.data_root)
    make_data(data, ablation.image_size, seed=1)
    checkpoint = train_variant(config, out / 'pretraining', data, 0, settings.train_cfg.max_iters)
    state = load_from_local(str(checkpoint), 'cpu')['state_dict']
    contents = {file: {} for file in files.values()}
    for prefix, file in files.items():
        contents[file] |= {ablation.encoders[prefix] + name.removeprefix(prefix): value
                           for name, value in state.items() if name.startswith(prefix)}
    for file, weights in contents.items():
        write_atomically(checkpoint_bytes(weights), file)


def run_ablation(args: Namespace) -> None:
    """Do what is left to do."""
    ablation = ABLATIONS[args.method]
    out = args.out / args.method / f'{args.iterations}_iterations'
    make_data(ablation.data, ablation.image_size, seed=0)
    pretrain(ablation, args.out / args.method)
    predictions = {name: [out / name / f'seed_{seed}/predictions.json' for seed in args.seeds]
                   for name in ablation.variants}
    # Seed by seed, so that all variants can be compared as early as possible.
    for number, seed in enumerate(args.seeds):
        for name, config in ablation.variants.items():
            file = predictions[name][number]
            file.parent.mkdir(parents=True, exist_ok=True)
            with locked_file(file.parent / '.ablation.lock', f'{file.parent} is being trained and tested'):
                if not file.is_file():
                    checkpoint = train_variant(config_path(config), file.parent, ablation.data, seed, args.iterations)
                    call('test.py', config_path(config), checkpoint, '--work-dir', file.parent, '--splits',
                         *TESTED_SPLITS, '--out', file, '--cfg-options',
                         f'test_dataloader.dataset.data_root={ablation.data}')
    variants = [part for name, files in predictions.items() for part in ('--variant', name, *files)]
    call('analysis_tools/compare_models.py', *variants, '--out', out / 'comparison.md')


def main() -> None:
    """Run as the command line says."""
    command_line.run(make_parser(), run_ablation, interrupted='stopped; the same command goes on where this one was')


if __name__ == '__main__':
    main()
