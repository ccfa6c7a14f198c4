"""Measure a config's model, with random weights: size, operations, speed and memory."""
from __future__ import annotations

import resource
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from torch import nn

from mmrefseg.apis import command_line
from mmrefseg.apis.building import build_model, check_device, inference_pipeline, read_config
from mmrefseg.apis.running import mixed_precision_dtype
from mmrefseg.errors import InputError, UserError
from mmrefseg.models import ReferringSegmentor
from mmrefseg.utils.collect_env import machine, versions
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.utils.model_complexity import count_flops, parameter_rows, parameter_table

IMAGE_SIZE = (480, 640)  # height and width of most of COCO's images
EXPRESSION = 'the tall man in a red shirt on the left'
NETWORK, PREDICTION = 'network', 'prediction'
SCOPES = {
    NETWORK: 'from prepared tensors to logits',
    PREDICTION: 'from resized images and expressions to masks at original size: normalisation, tokens, network and '
                'post-processing',
}


def make_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        description='Print parameters, floating-point operations, latency, images per second and peak memory of a '
        "config's model at the input size of its test pipeline. Weights are random, images and expressions made up: "
        'needs neither files of weights nor data. Reading and resizing images is not measured.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: a GPU if there is one)")
    parser.add_argument('--batch', type=int, default=1, help='images at once (default: 1)')
    parser.add_argument('--amp', action='store_true', help='run the model under mixed precision')
    parser.add_argument('--compile', action='store_true', help='run the model under torch.compile')
    parser.add_argument('--warmup', type=int, default=5, help='calls before those that count (default: 5)')
    parser.add_argument('--repeats', type=int, default=20, help='calls that count (default: 20)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='JSON file for the figures')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config, such as model.text_encoder.num_tokens=22')
    return parser


def check_numbers(batch: int, warmup: int, repeats: int) -> None:
    """Refuse numbers that nothing can be measured with.

    Raises:
        InputError: names the number, and the least that it may be.
    """
    for name, value, least in (('batch', batch, 1), ('warmup', warmup, 1), ('repeats', repeats, 2)):
        if value < least:
            raise InputError(f'--{name} is {value}; it must be at least {least}')


def build(config: Config) -> ReferringSegmentor:
    """The model that is measured.

    Raises:
        InputError: it answers no expressions.
    """
    model = build_model(config)
    if not isinstance(model, ReferringSegmentor):
        raise InputError(f'the model of {config.filename} is a {type(model).__name__}; only a ReferringSegmentor can '
                         'be measured, as others take no expressions')
    return model


def make_batch(config: Config, size: int) -> dict[str, list]:
    """Made-up images and an expression, as the config's test pipeline hands them over."""
    pipeline, random = inference_pipeline(config), np.random.default_rng(0)
    samples = [
        pipeline({'img': random.integers(0, 256, (*IMAGE_SIZE, 3), np.uint8), 'img_shape': IMAGE_SIZE,
                  'ori_shape': IMAGE_SIZE, 'text': EXPRESSION}) for _ in range(size)
    ]
    return {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}


def time_calls(calls: dict[str, Callable[[], object]], device: torch.device, warmup: int,
               repeats: int) -> dict[str, list[float]]:
    """Seconds that each call takes until the device is done, without the first ones."""
    seconds = {name: [] for name in calls}
    for _ in range(warmup + repeats):
        for name, call in calls.items():  # in turn, so that what else the machine does slows all alike
            _synchronize(device)
            start = time.perf_counter()
            call()
            _synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: values[warmup:] for name, values in seconds.items()}


def _synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def latency(seconds: list[float], batch: int) -> dict[str, float]:
    """Median, quartiles and fastest of a call, in milliseconds, and how many images per second that makes."""
    first, _, third = quantiles(seconds, n=4, method='inclusive')
    return {
        'median_ms': 1e3 * median(seconds),
        'fastest_ms': 1e3 * min(seconds),
        'first_quartile_ms': 1e3 * first,
        'third_quartile_ms': 1e3 * third,
        'images_per_second': batch / median(seconds),
    }


def peak_memory(device: torch.device) -> dict[str, int | str]:
    """Most bytes at once so far."""
    if device.type == 'cuda':
        return {'bytes': torch.cuda.max_memory_allocated(device), 'of': 'tensors on the GPU, weights included'}
    unit = 1 if sys.platform == 'darwin' else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {'bytes': peak, 'of': 'the process since its start, resident: Python, libraries and model included'}


def measure_speed(model: nn.Module, data: dict[str, Any], args: Namespace) -> dict[str, Any]:
    """Latency of network and prediction, and the peak memory."""
    device = next(model.parameters()).device
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
    prepared = model.data_preprocessor(data)
    calls = {NETWORK: partial(model, **prepared, mode='tensor'), PREDICTION: partial(model.test_step, data)}
    with torch.inference_mode(), torch.autocast(device.type, mixed_precision_dtype(), enabled=args.amp):
        seconds = time_calls(calls, device, args.warmup, args.repeats)
    return {
        'latency': {name: latency(values, args.batch) for name, values in seconds.items()},
        'peak_memory': peak_memory(device),
    }


def measure(args: Namespace) -> tuple[nn.Module, dict[str, Any]]:
    """The model and all figures.

    Raises:
        MissingInputError: there is no such config.
        InputError: the config has no model or test pipeline, or a setting is out of range.
    """
    check_numbers(args.batch, args.warmup, args.repeats)
    config, device = read_config(args.config, args.cfg_options), check_device(args.device or get_device())
    torch.manual_seed(0)
    model = build(config).to(device).eval()
    data = make_batch(config, args.batch)
    if args.compile:
        model.compile()
    speed = measure_speed(model, data, args)
    # Counted last, as it costs memory, and without __call__, which is compiled.
    flops = count_flops(partial(model.forward, **model.data_preprocessor(data), mode='tensor'))
    return model, {
        'config': str(args.config),
        'device': str(device),
        'batch': args.batch,
        'precision': str(mixed_precision_dtype() if args.amp else torch.float32).removeprefix('torch.'),
        'compiled': args.compile,
        'input_size': list(data['inputs'][0].shape[-2:]),
        'original_size': list(IMAGE_SIZE),
        'parameters': {name: count._asdict() for name, count in parameter_rows(model) if name == name.strip()},
        'flops_per_image': flops / args.batch,
        'warmup': args.warmup,
        'repeats': args.repeats,
        **speed,
        'machine': {**machine(), 'threads': torch.get_num_threads()},
        'versions': versions(),
    }


def to_text(figures: dict[str, Any]) -> str:
    """The figures for people."""
    hardware, sizes = figures['machine'], {name: '×'.join(map(str, figures[name]))
                                           for name in ('input_size', 'original_size')}
    where = (hardware['gpu'] if figures['device'].startswith('cuda') else
             f'{hardware["cpu"]}, {hardware["threads"]} threads on {hardware["cores"]} cores')
    lines = [
        f'FLOPs      {figures["flops_per_image"] / 1e9:.2f} G an image: additions and multiplications of matrix '
        'products, convolutions and attention',
        f'input      {sizes["input_size"]}, batch {figures["batch"]}, {figures["precision"]}'
        + (', compiled' if figures['compiled'] else ''),
    ]
    for name, times in figures['latency'].items():
        quartiles = f'{times["first_quartile_ms"]:.2f} to {times["third_quartile_ms"]:.2f}'
        lines.append(f'{name:11}{times["median_ms"]:.2f} ms per batch (median of {figures["repeats"]}; quartiles '
                     f'{quartiles}; fastest {times["fastest_ms"]:.2f}), {times["images_per_second"]:.2f} images a '
                     f'second: {SCOPES[name]}' + (f' ({sizes["original_size"]})' if name == PREDICTION else ''))
    memory = figures['peak_memory']
    return '\n'.join([
        *lines, f'memory     {memory["bytes"] / 2**20:,.0f} MiB at most: {memory["of"]}', f'machine    {where}',
        'versions   ' + ', '.join(f'{library} {number}' for library, number in figures['versions'].items())
    ])


def benchmark(args: Namespace) -> None:
    """Measure and print."""
    if args.out:
        check_writable(args.out.parent)
    try:
        model, figures = measure(args)
    except torch.OutOfMemoryError as error:
        raise UserError(f'the GPU has too little memory for batches of {args.batch}; choose a smaller --batch'
                        ) from error
    print(parameter_table(model), to_text(figures), sep='\n')
    if args.out:
        write_json(figures, args.out)


def main() -> None:
    """Measure as the command line says."""
    command_line.run(make_parser(), benchmark)


if __name__ == '__main__':
    main()
