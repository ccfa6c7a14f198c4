"""Measure models of configs, with random weights: size, operations, speed and memory."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
from benchmarking.model_calls import (
    CALL_MEANING,
    EXPRESSION,
    IMAGE_SIZE,
    NETWORK,
    PREDICTION,
    SHARED,
    SHARING,
    TRAINING,
    Call,
    answering,
    build_measured,
    make_batch,
    parts,
    training,
)
from benchmarking.reporting import add_out_argument, check_least, circumstances, measure_and_show
from benchmarking.timing import latency, peak_memory, product_limit, ratio, reset_peak, time_calls
from benchmarking.whole_evaluation import measure_evaluation
from mmengine.config import Config
from mmengine.device import get_device
from rich import box
from rich.table import Table

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options, check_device, read_config
from mmrefseg.apis.config_to_runner import mixed_precision_dtype
from mmrefseg.apis.inference.winograd import use_winograd
from mmrefseg.errors import UserError
from mmrefseg.models import ReferringSegmentor
from mmrefseg.utils.collect_env import machine, versions
from mmrefseg.utils.model_complexity import count_flops, parameter_rows, parameter_table
from mmrefseg.utils.text_formatting import print_tables

__all__ = ['EXPRESSION', 'latency', 'make_batch', 'time_calls']


class Subject(NamedTuple):
    """What is measured of one config.

    Args:
        config: the config.
        model: its model, on the device.
        data: a batch.
        calls: what is timed, by name.
    """

    config: Config
    model: ReferringSegmentor
    data: dict[str, list]
    calls: dict[str, Call]


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Print parameters, floating-point operations, latency, images per second and peak memory of a '
        "config's model at the input size of its test pipeline. Weights are random, images and expressions made up: "
        'needs neither files of weights nor data, but for --evaluation. Reading and resizing images is not measured.')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('--against', nargs='+', default=[], metavar='CONFIG',
                        help='other configs, measured in turn with the first one; ratios to it are printed')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: a GPU if there is one)")
    parser.add_argument('--batch', type=int, default=1, help='images at once (default: 1)')
    parser.add_argument('--amp', action='store_true', help='run the model under mixed precision')
    parser.add_argument('--winograd', action='store_true',
                        help='on a CPU, compute 3×3 convolutions as the inferencer does, not as an evaluation does')
    parser.add_argument('--compile', action='store_true', help='run the model under torch.compile')
    parser.add_argument('--parts', action='store_true', help='also text encoder, backbone, neck and head alone')
    parser.add_argument('--training', action='store_true',
                        help='also training steps, with --amp in float32 and under mixed precision, with --compile '
                             'also compiled')
    parser.add_argument('--evaluation', action='store_true',
                        help="also one pass over the config's test data: reading, prediction and figures")
    parser.add_argument('--warmup', type=int, default=5, help='calls before those that count (default: 5)')
    parser.add_argument('--repeats', type=int, default=20, help='calls that count (default: 20)')
    add_out_argument(parser)
    add_cfg_options(parser, 'model.text_encoder.num_tokens=22')
    return parser


def prepare_subject(name: str, device: torch.device, args: Namespace) -> Subject:
    """Build a config's model and what is timed of it."""
    config = read_config(name, args.cfg_options)
    torch.manual_seed(0)
    model = build_measured(config).to(device).eval()
    data = make_batch(config, args.batch)
    if args.winograd:
        use_winograd(model)
    if args.compile:
        model.compile()
    calls = answering(model, data, args.amp)
    if args.parts:
        calls |= parts(model, data, args.amp)
    if args.training:
        calls |= training(model, make_batch(config, training_batch(args)), args.compile, args.amp)
    return Subject(config, model, data, calls)


def training_batch(args: Namespace) -> int:
    """Images of a training step: two at least, as batch statistics of a single sentence are none."""
    return max(2, args.batch)


def figures_of(subject: Subject, seconds: dict[str, list[float]], memory: dict[str, Any], limit: float,
               args: Namespace) -> dict[str, Any]:
    """All figures of one config, of what was measured."""
    # Without __call__, which is compiled.
    flops = count_flops(partial(subject.model.forward, **subject.model.data_preprocessor(subject.data), mode='tensor'))
    times = {name: latency(values, training_batch(args) if name.startswith(TRAINING) else args.batch)
             for name, values in seconds.items()}
    return {
        'input_size': list(subject.data['inputs'][0].shape[-2:]),
        'parameters': {name: count._asdict() for name, count in parameter_rows(subject.model) if name == name.strip()},
        'flops_per_image': flops / args.batch,
        'latency': {name: times.pop(name) for name in (NETWORK, PREDICTION)},
        'expressions_per_second': {
            '1': args.batch / median(seconds[NETWORK]),
            str(SHARING): SHARING * args.batch / median(seconds[SHARED])},
        'share_of_limit': flops / median(seconds[NETWORK]) / limit,
        'training': {name: times[name] for name in times if name.startswith(TRAINING)},
        'parts': {name: times[name] for name in times if not name.startswith((TRAINING, SHARED))},
        'peak_memory': memory,
    }


def measure_models(args: Namespace) -> dict[str, Any]:
    """All figures; prints the parameters of the first config's model.

    Raises:
        MissingInputError: there is no such config, or data to evaluate on.
        InputError: a config has no model or test pipeline, or a setting is out of range.
    """
    check_least(args, batch=1, warmup=1, repeats=2)
    device = check_device(args.device or get_device())
    dtype = mixed_precision_dtype() if args.amp else torch.float32
    names = list(dict.fromkeys((args.config, *args.against)))
    subjects, memory = {}, {}
    for name in names:
        reset_peak(device)
        subjects[name] = prepare_subject(name, device, args)
        if args.against:  # while the others are not there
            for call in subjects[name].calls.values():
                call()
            memory[name] = peak_memory(device)
    calls = {(name, call): run for name in names for call, run in subjects[name].calls.items()}
    seconds = time_calls(calls, device, args.warmup, args.repeats)
    memory = memory or {args.config: peak_memory(device)}
    limit = product_limit(device, dtype)
    found = {name: figures_of(subjects[name], {call: values for (other, call), values in seconds.items()
                                               if other == name}, memory[name], limit, args) for name in names}
    for name in names:
        if args.evaluation:
            found[name]['evaluation'] = measure_evaluation(subjects[name].model, subjects[name].config, args.amp)
        found[name]['ratios'] = {call: ratio(values, seconds[names[0], call])
                                 for (other, call), values in seconds.items()
                                 if other == name and (names[0], call) in seconds}
    print(parameter_table(subjects[names[0]].model))
    return {
        'config': args.config,
        'device': str(device),
        'batch': args.batch,
        'precision': str(dtype).removeprefix('torch.'),
        'compiled': args.compile,
        'original_size': list(IMAGE_SIZE),
        'warmup': args.warmup,
        'repeats': args.repeats,
        'product_limit': limit,
        **found.pop(names[0]),
        'against': found,
        'machine': {**machine(), 'threads': torch.get_num_threads()},
        'versions': versions(),
    }


def models_text(figures: dict[str, Any]) -> str:
    """The figures of all models as text."""
    hardware, sizes = figures['machine'], {name: '×'.join(map(str, figures[name]))
                                           for name in ('input_size', 'original_size')}
    where = (hardware['gpu'] if figures['device'].startswith('cuda') else
             f'{hardware["cpu"]}, {hardware["threads"]} threads on {hardware["cores"]} cores')
    lines = [
        f'FLOPs      {figures["flops_per_image"] / 1e9:.2f} G per image: additions and multiplications of matrix '
        'products, convolutions and attention',
        f'input      {sizes["input_size"]}, batch {figures["batch"]}, {figures["precision"]}'
        + (', compiled' if figures['compiled'] else ''),
    ]
    for name, times in figures['latency'].items():
        lines.append(f'{name:11}{_milliseconds(times, figures["repeats"])}, {times["images_per_second"]:.2f} images '
                     f'per second: {CALL_MEANING[name]}'
                     + (f' ({sizes["original_size"]})' if name == PREDICTION else ''))
    rates = figures['expressions_per_second']
    lines += [f'questions  {rates["1"]:.2f} expressions per second one by one, {rates[str(SHARING)]:.2f} with '
              f'{SHARING} about each image, which is encoded once',
              f'limit      {100 * figures["share_of_limit"]:.1f} % of the {figures["product_limit"] / 1e12:.3g} '
              f'TFLOP/s that a large matrix product or convolution in {figures["precision"]} reaches here (network)']
    if figures['parts']:
        whole = figures['latency'][NETWORK]['median_ms']
        lines.append('parts      ' + ', '.join(f'{name} {times["median_ms"]:.2f} ms ({times["median_ms"] / whole:.0%})'
                                               for name, times in figures['parts'].items())
                     + f', around the network {figures["latency"][PREDICTION]["median_ms"] - whole:.2f} ms')
    lines += [f'training   {_milliseconds(times, figures["repeats"])}: {name}'
              for name, times in figures['training'].items()]
    if 'evaluation' in figures:
        found = figures['evaluation']
        lines.append(f'evaluation {found["seconds"]:.1f} s for {found["expressions"]} expressions, '
                     f'{found["expressions_per_second"]:.1f} per second: reading, prediction and figures')
    memory = figures['peak_memory']
    return '\n'.join([
        *lines, f'memory     {memory["bytes"] / 2**20:,.0f} MiB at most: {memory["of"]}',
        *circumstances(figures, where)
    ])


def _milliseconds(times: dict[str, float], repeats: int) -> str:
    return (f'{times["median_ms"]:.2f} ms per batch (median of {repeats}; quartiles {times["first_quartile_ms"]:.2f} '
            f'to {times["third_quartile_ms"]:.2f}; fastest {times["fastest_ms"]:.2f})')


def ratio_table(figures: dict[str, Any]) -> Table:
    """A row per call, a column per config: how many times as long as with the first one."""
    rows = {figures['config']: figures, **figures['against']}
    table = Table('times as long as the first', *rows, box=box.SIMPLE_HEAD, caption_justify='left',
                  caption='median over rounds in which all took turns; in brackets milliseconds per batch')
    for call, in dict.fromkeys((call, ) for row in rows.values() for call in row['ratios']):
        cells = []
        for row in rows.values():
            times = {**row['latency'], **row['parts'], **row['training']}.get(call)
            cells.append('-' if call not in row['ratios'] else f'{row["ratios"][call]:.3f}'
                         + (f' ({times["median_ms"]:.1f})' if times else ''))
        table.add_row(call, *cells)
    return table


def show(figures: dict[str, Any]) -> None:
    """Print the figures, and how they compare."""
    print(models_text(figures))
    if figures['against']:
        print_tables(ratio_table(figures))


def benchmark_models(args: Namespace) -> None:
    """Measure the models, print the figures and write them."""
    try:
        measure_and_show(lambda: measure_models(args), show, args.out)
    except torch.OutOfMemoryError as error:
        raise UserError(f'the GPU has too little memory for batches of {args.batch}; choose a smaller --batch'
                        ) from error


def main() -> None:
    """Measure as the command line says."""
    command_line.run(make_parser(), benchmark_models)


if __name__ == '__main__':
    main()
