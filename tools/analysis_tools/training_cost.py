"""Say what training with a config takes: tools/analysis_tools/training_cost.py CONFIG [--measure]."""
from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

import torch
from benchmarking.timing import peak_memory
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, build_model, read_config
from mmrefseg.datasets.dataset_configs import dataset_config
from mmrefseg.datasets.preparation.recipes import RECIPES
from mmrefseg.engine.training_cost import StepCost, input_size, step_cost, weights_memory
from mmrefseg.errors import InputError
from mmrefseg.models import ReferringSegmentor
from mmrefseg.registry import type_name
from mmrefseg.structures import RefSegDataSample

THROUGHPUTS = (10, 100)
"""Teraflops per second to compute days for."""


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Print what training with a config takes: parameters, memory of each process, operations of a '
        'step, number of steps, and days at a given throughput. All of it is computed; needs neither weights nor data. '
        'With --measure two steps are run on the CPU, on made-up samples.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--samples', type=int, metavar='N',
                        help='training samples per epoch (default: what is published of the data set)')
    parser.add_argument('--tflops', type=float, nargs='+', default=THROUGHPUTS, metavar='N',
                        help='throughputs in 10^12 operations per second, all processes together (default: 10 100)')
    parser.add_argument('--measure', type=int, metavar='BATCH',
                        help='also run two steps with batches of this size on the CPU, and print the peak memory')
    add_cfg_options(parser, 'train_dataloader.batch_size=8')
    return parser


def samples_per_epoch(config: Config) -> int | None:
    """What is published of the data set that a config trains on; None where nothing is."""
    dataset = dataset_config(config, 'train')
    unit = 'refs' if dataset.get('unit') == 'ref' else 'expressions'
    for recipe in RECIPES.values():
        arguments = dict(recipe.arguments) or {'split_by': None}
        if (recipe.dataset == type_name(dataset['type']) and dataset['split'] in recipe.counts
                and recipe.folder == dataset.get('data_root', '').split('/')[-1].replace('refcoco-plus', 'refcoco+')
                and all(dataset.get(key) == value for key, value in arguments.items())):
            counts = recipe.counts[dataset['split']]
            return getattr(counts, unit) or counts.expressions
    return None


def steps(config: Config, samples: int | None, batch: int) -> int | None:
    """Steps of the optimizer in a whole training."""
    loop = config.train_cfg
    if loop.get('max_iters'):
        return loop['max_iters']
    return None if samples is None else loop['max_epochs'] * (samples // batch)


def measure_steps(config: Config, batch: int, size: int) -> str:
    """Run two steps, the second of which has the optimizer's state, on made-up samples."""
    model = build_model(config).train()
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
    for _ in range(2):
        masks = [torch.ones(1, size, size, dtype=torch.uint8) for _ in range(batch)]
        samples = [RefSegDataSample(metainfo=dict(text='the man on the left', img_shape=(size, size)),
                                    gt_sem_seg=PixelData(data=mask)) for mask in masks]
        images = [torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in range(batch)]
        start = time.perf_counter()
        model.train_step(dict(inputs=images, data_samples=samples), wrapper)
    return (f'measured   {peak_memory(torch.device("cpu"))["bytes"] / 1e9:.2f} GB at most with batches of {batch}, '
            f'{time.perf_counter() - start:.1f} s per step on {torch.get_num_threads()} CPU threads')


def cost_text(config: Config, model: ReferringSegmentor, cost: StepCost, args: Namespace) -> str:
    """What is computed, for people."""
    per_process = config.train_dataloader.batch_size
    batch = (config.get('auto_scale_lr') or {}).get('base_batch_size', per_process)
    memory = weights_memory(model, config)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    lines = [f'parameters {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M, of which {trained / 1e6:.2f} M '
             'train']
    for size in sorted({1, per_process}):
        need = memory._replace(activations=cost.activations * size)
        lines.append(f'memory     {need.total / 1e9:.2f} GB at least per process with batches of {size}: weights '
                     f'{need.weights / 1e9:.2f}, gradients and state of the optimizer {need.trained / 1e9:.2f}, '
                     f'activations {need.activations / 1e9:.2f}')
    lines.append(f'FLOPs      {cost.flops * batch / 1e12:.2f} T per step of {batch} samples, {cost.flops / 1e9:.0f} G '
                 'per sample, forward and backward')
    samples = args.samples or samples_per_epoch(config)
    number = steps(config, samples, batch)
    if number is None:
        return '\n'.join((*lines, 'steps      unknown: nothing is published of this data set; give --samples'))
    lines.append(f'steps      {number:,}' + (f', {samples:,} samples per epoch' if samples else ''))
    for throughput in args.tflops:
        days = number * cost.flops * batch / throughput / 1e12 / 86400
        lines.append(f'days       {days:.2f} at {throughput:g} TFLOP per second')
    return '\n'.join(lines)


def tell_cost(args: Namespace) -> None:
    """Compute and print, and measure where that is asked for."""
    config = read_config(args.config, args.cfg_options)
    for name, value in (('samples', args.samples), ('measure', args.measure), ('tflops', min(args.tflops))):
        if value is not None and value <= 0:
            raise InputError(f'--{name} is {value}; it must be above 0')
    size = input_size(config)
    if size is None:
        raise InputError(f'the training pipeline of {config.filename} has no Letterbox or Stretch, which would tell '
                         'the size of its images')
    if args.measure:  # first, as the peak is that of the process
        print(measure_steps(config, args.measure, size), flush=True)
    model = build_model(config)
    if not isinstance(model, ReferringSegmentor):
        raise InputError(f'the model of {config.filename} is a {type(model).__name__}; only the cost of a '
                         'ReferringSegmentor can be computed')
    cost = step_cost(model, size)
    if cost is None:
        raise InputError(f'what the model of {config.filename} computes depends on values of its input: its cost '
                         'cannot be computed; try --cfg-options with settings that leave no choice')
    print(cost_text(config, model, cost, args))


def main() -> None:
    """Examine as the command line says."""
    command_line.run(make_parser(), tell_cost)


if __name__ == '__main__':
    main()
