"""All that a GPU must show, measured in one go and written as Markdown: gpu_report.py OUT.md [--small]."""
from __future__ import annotations

import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from benchmarking.coco_like import write_coco_like
from benchmarking.model_calls import NETWORK, PREDICTION, Call, answering, build_measured, make_batch, training, under
from benchmarking.timing import peak_memory, product_limit, reset_peak, time_calls
from benchmarking.whole_evaluation import measure_evaluation
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import read_config
from mmrefseg.apis.config_to_runner import mixed_precision_dtype
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.models.layers.deformable_conv import DeformableConv
from mmrefseg.utils.collect_env import computes_in_bfloat16, machine, usable_cores, versions
from mmrefseg.utils.files import check_writable, write_atomically
from mmrefseg.utils.mmcv_operator_stubs import compiled_for_cuda
from mmrefseg.utils.model_complexity import count_flops
from mmrefseg.utils.shipped_files import shipped_folder
from mmrefseg.utils.text_formatting import markdown_table

Rows = list[tuple[Any, ...]]

_WARMUP = 2


class Extent(NamedTuple):
    """How much of everything is measured.

    Args:
        configs: names of the models' configs.
        batches: batch sizes.
        repeats: calls that count.
        minutes: after which compiled models are left out.
        images: of the made-up data; 85 % of them are evaluated on.
        side: of the maps of the deformable convolution, 512 channels wide.
        backend: of ``torch.compile``.
        amp: whether models run under mixed precision. Default True.
    """

    configs: tuple[str, ...]
    batches: tuple[int, ...]
    repeats: int
    minutes: float
    images: int
    side: int
    backend: str
    amp: bool = True


# 1,521 images with 2.5 referents of 2.85 expressions each: RefCOCO's val has 10,834 expressions.
FULL_SIZE = Extent(('sera_dinov2_refcoco', 'detris_dinov2_refcoco', 'cris_r101_refcoco', 'segvlm_r101_refcoco'),
                   (16, 1, 64), 10, 5, 1790, 104, 'inductor')
SMALL_SIZE = Extent(('segvlm_tiny_refshapes', ), (2, ), 2, 5, 4, 8, 'eager')


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(prog='gpu_report', description=(
        'Measure deformable convolutions, models eager and compiled, a whole evaluation and, with two GPUs, a short '
        'distributed training; writes one Markdown file. At most 8 minutes on a large GPU.'))
    parser.add_argument('out', type=Path, metavar='OUT.md', help='the file to write')
    parser.add_argument('--small', action='store_true', help='tiny models and few repeats, also on a CPU')
    return parser


def deformable_convolutions(extent: Extent, device: torch.device) -> Rows:
    """Each operator beside torchvision's: times, and the largest difference of outputs and gradients."""
    torch.manual_seed(0)
    conv = DeformableConv(512, 256, 'DCNv2').to(device)
    torch.nn.init.normal_(conv.conv_offset.weight, std=0.01)
    x = torch.randn(2, 512, extent.side, extent.side, device=device)
    rows, exact = [], {}
    for operator in ('torchvision', *(('mmcv', ) if compiled_for_cuda() else ()), 'torch'):
        conv.operator = operator
        for amp in (False, True)[:1 + extent.amp]:
            both = partial(_outputs_and_gradients, conv, x, amp)
            found = both()
            output, *gradients = (float((a - b).abs().max() / b.abs().max())
                                  for a, b in zip(found, exact.setdefault(amp, found), strict=True))
            seconds = time_calls({'forward': under(partial(conv, x), amp, device), 'both': both}, device,
                                 _WARMUP, extent.repeats)
            rows.append((operator, 'autocast' if amp else 'float32', f'{1e3 * median(seconds["forward"]):.2f}',
                         f'{1e3 * median(seconds["both"]):.2f}', f'{output:.1e}', f'{max(gradients):.1e}'))
    return rows


def _outputs_and_gradients(conv: DeformableConv, x: Tensor, amp: bool) -> list[Tensor]:
    x = x.detach().requires_grad_()
    with torch.autocast(x.device.type, mixed_precision_dtype(), enabled=amp):
        output = conv(x)
    conv.zero_grad()
    output.float().square().mean().backward()
    return [output.detach().float(), x.grad, *(p.grad.clone() for p in conv.parameters() if p.grad is not None)]


def models(extent: Extent, device: torch.device, limit: float, start: float) -> Iterator[tuple[tuple[Any, ...], dict]]:
    """A row and its numbers for each config, batch size and way to run; compiled ones while there is time."""
    torch.manual_seed(0)
    configs = {name: read_config(name) for name in extent.configs}
    built = {name: build_measured(config).to(device).eval() for name, config in configs.items()}
    for way in ('eager', 'compiled'):
        for batch, name in product(extent.batches, extent.configs):
            if way == 'compiled' and time.monotonic() - start > 60 * extent.minutes:
                yield (name, batch, way, *['no time'] * 6), {}
                continue
            if way == 'compiled':
                built[name].compile(backend=extent.backend)
            yield _measure_model(name, configs[name], built[name], batch, way, extent, limit)


def _measure_model(name: str, config: Config, model: Any, batch: int, way: str, extent: Extent,
                   limit: float) -> tuple[tuple[Any, ...], dict]:
    device = next(model.parameters()).device
    data = make_batch(config, batch)
    reset_peak(device)
    calls: dict[str, Call] = answering(model, data, extent.amp)
    asked = time_calls({call: calls[call] for call in (NETWORK, PREDICTION)}, device, _WARMUP, extent.repeats)
    asking = peak_memory(device)['bytes']
    steps = training(model, make_batch(config, max(2, batch)), compiled=way == 'compiled')
    step = list(steps)[-1 if extent.amp else -2]  # compiled where the model is
    reset_peak(device)
    trained = time_calls({step: steps[step]}, device, _WARMUP, extent.repeats)[step]
    flops = count_flops(lambda: model.forward(**model.data_preprocessor(data), mode='tensor'))
    speed = batch / median(asked[NETWORK])
    share = flops / batch * speed / limit
    return (name, batch, way, f'{speed:.1f}', f'{batch / median(asked[PREDICTION]):.1f}', f'{share:.0%}',
            f'{asking / 2**30:.1f}', f'{max(2, batch) / median(trained):.1f}',
            f'{peak_memory(device)["bytes"] / 2**30:.1f}'), {
                'config': name, 'batch': batch, 'speed': batch / median(asked[PREDICTION]), 'share': share}


def whole_evaluation(extent: Extent, device: torch.device, folder: Path) -> dict[str, float]:
    """Of the first config's model on made-up data of the size of RefCOCO's val."""
    write_coco_like(folder, extent.images)
    config = read_config(extent.configs[0])
    dataset = config.test_dataloader.dataset
    config.test_dataloader.update(
        dataset=dict(type='RefCOCODataset', data_root=str(folder), split='train', pipeline=dataset.pipeline),
        num_workers=min(8, usable_cores()))
    return measure_evaluation(build_measured(config).to(device).eval(), config, extent.amp)


def distributed_training(folder: Path) -> str:
    """A few steps on two GPUs with synchronised batch norms; or why not."""
    if torch.cuda.device_count() < 2:
        return f'Not run: there are {torch.cuda.device_count()} GPUs.'
    make_refshapes(folder / 'data', {'train': 40, 'val': 1})
    options = [f'train_dataloader.dataset.data_root={folder}/data', 'train_dataloader.batch_size=8',
               'train_cfg.max_iters=6', 'default_hooks.logger.interval=1', 'val_cfg=None', 'val_dataloader=None',
               'val_evaluator=None', 'sync_bn=torch']
    command = [sys.executable, str(shipped_folder('tools') / 'launch.py'), '--standalone', '--nproc_per_node', '2',
               str(shipped_folder('tools') / 'train.py'), 'sera_tiny_refshapes', '--launcher', 'pytorch', '--work-dir',
               str(folder / 'run'), '--cfg-options', *options]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return 'Failed: it had not ended after two minutes.'
    if result.returncode:
        return 'Failed:\n\n```\n' + '\n'.join((result.stdout + result.stderr).splitlines()[-20:]) + '\n```'
    speed = next((line.split(' - ')[-1] for line in result.stdout.splitlines() if 'seconds per step' in line), '')
    return f'Two processes with NCCL and SyncBN, six steps of `sera_tiny_refshapes`: {speed}'


def aims(numbers: list[dict], seconds: float, extent: Extent) -> Rows:
    """What should be reached, what was, and whether that is enough."""
    if extent.configs != FULL_SIZE.configs:
        return []
    share = max(row['share'] for row in numbers if row and row['config'] == 'sera_dinov2_refcoco')
    speed = max(row['speed'] for row in numbers if row and (row['config'], row['batch']) == ('segvlm_r101_refcoco', 1))
    return [('SERA-B, inference: share of the matrix-product limit', '≥ 40 %', f'{share:.0%}', _word(share >= 0.4)),
            ('SegVLM-R101, predictions per second at batch 1', '≥ 45', f'{speed:.1f}', _word(speed >= 45)),
            ("evaluation of as many expressions as RefCOCO's val", '≤ 60 s', f'{seconds:.0f} s', _word(seconds <= 60))]


def _word(is_reached: bool) -> str:
    return 'reached' if is_reached else 'missed'


def slowest_operators(extent: Extent, device: torch.device) -> Rows:
    """Where the time of the first and the last config's network goes."""
    rows: Rows = []
    activity = torch.profiler.ProfilerActivity.CUDA if device.type == 'cuda' else torch.profiler.ProfilerActivity.CPU
    for name, batch in {extent.configs[0]: max(extent.batches), extent.configs[-1]: min(extent.batches)}.items():
        config = read_config(name)
        model = build_measured(config).to(device).eval()
        call = answering(model, make_batch(config, batch), extent.amp)[NETWORK]
        call()
        with torch.profiler.profile(activities=[activity]) as profile:
            call()
        times = [(event.self_device_time_total if device.type == 'cuda' else event.self_cpu_time_total, event.key)
                 for event in profile.key_averages()]
        whole = sum(time for time, _ in times) or 1
        rows += [(name, batch, key[:70].replace('|', ' '), f'{time / whole:.0%}')
                 for time, key in sorted(times, reverse=True)[:6]]
    return rows


def report_gpu(args: Namespace) -> None:
    """Measure all that a GPU must show, and write the report."""
    check_writable(args.out.parent)
    device, start = torch.device(get_device()), time.monotonic()
    extent = SMALL_SIZE if args.small else FULL_SIZE
    extent = extent._replace(amp=computes_in_bfloat16(device.type) or device.type == 'cuda')
    dtype = mixed_precision_dtype() if extent.amp else torch.float32
    limit = product_limit(device, dtype)
    hardware = machine()
    parts = [f'# {hardware["gpu"] or hardware["cpu"]}\n',
             ', '.join(f'{library} {number}' for library, number in versions().items())
             + f'; precision is {str(dtype).removeprefix("torch.")}, in which a large matrix product reaches '
               f'{limit / 1e12:.3g} TFLOP/s. Random weights.\n']

    def add(title: str, text: str) -> None:
        parts.append(f'## {title}\n\n{text}\n')
        write_atomically('\n'.join(parts).encode(), args.out)  # what is done is kept
        print(f'{time.monotonic() - start:5.0f} s  {title}', flush=True)

    add('Deformable convolution', markdown_table(
        ('operator', 'precision', 'forward, ms', 'with gradients, ms', 'difference of outputs', 'of gradients'),
        deformable_convolutions(extent, device)) + f'\n\n512 to 256 channels, {extent.side}×{extent.side}, batch 2; '
        "largest difference relative to torchvision's largest value."
        + ('' if compiled_for_cuda() else " mmcv's CUDA operators are not compiled here."))
    rows, numbers = zip(*models(extent, device, limit, start), strict=True)
    add('Models', markdown_table(('config', 'batch', 'run', 'network, images/s', 'prediction, images/s', 'of the limit',
                                  'memory, GiB', 'training, images/s', 'memory, GiB'), list(rows))
        + '\n\nTraining at batch 2 at least. Memory is the most at once'
        + ('.' if device.type == 'cuda' else ', of the process since its start.'))
    with TemporaryDirectory() as folder:
        found = whole_evaluation(extent, device, Path(folder, 'coco'))
        add('Evaluation', f'`{extent.configs[0]}` on {found["expressions"]} expressions of made-up data like RefCOCO: '
            f'{found["seconds"]:.1f} s, {found["expressions_per_second"]:.0f} per second.')
        add('Where the time goes', markdown_table(
            ('config', 'batch', 'operator', 'share of the network'), slowest_operators(extent, device)))
        add('Several processes', distributed_training(Path(folder, 'several')))
    if judged := aims(list(numbers), found['seconds'], extent):
        add('Aims', markdown_table(('aim', '', 'found', ''), judged))
    print(f'{args.out} has the tables')


def main() -> None:
    """Report as the command line says."""
    command_line.run(make_parser(), report_gpu)


if __name__ == '__main__':
    main()
