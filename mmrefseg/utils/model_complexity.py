"""How many parameters a model has, how many of them train, and how many operations it needs."""
from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


class ParameterCount(NamedTuple):
    """How many parameters of one kind there are, and how many of them train.

    Args:
        total: how many there are.
        trainable: how many of them train.
    """

    total: int
    trainable: int


def _pretrained(module: nn.Module) -> dict[int, nn.Parameter]:
    """Pretrained parameters of a module, by identity."""
    configs = getattr(module, 'init_cfg', None) or ()
    if any(config.get('type') == 'Pretrained' for config in ([configs] if isinstance(configs, dict) else configs)):
        parts = module.new_parts() if hasattr(module, 'new_parts') else ()
        new = {id(p) for part in parts for p in part.parameters()}
        return {id(p): p for p in module.parameters() if id(p) not in new}
    return {key: p for child in module.children() for key, p in _pretrained(child).items()}


def count_parameters(module: nn.Module) -> tuple[ParameterCount, ParameterCount]:
    """Count the pretrained and the new parameters of a model or a part of it; a shared one counts once.

    Pretrained is what a module holds whose ``init_cfg`` names pretrained weights, beside its ``new_parts()`` where it
    has that method, as encoders of ours do. Adapters, experts and all else, such as encoders that start from random
    weights, are new.

    Args:
        module: the model or part.
    """
    pretrained = _pretrained(module)
    new = {id(p): p for p in module.parameters() if id(p) not in pretrained}
    pretrained, new = (ParameterCount(sum(p.numel() for p in kind.values()),
                                      sum(p.numel() for p in kind.values() if p.requires_grad))
                       for kind in (pretrained, new))
    return pretrained, new


def parameter_rows(model: nn.Module) -> list[tuple[str, ParameterCount]]:
    """The rows of :func:`parameter_table`: a name and a count each.

    Args:
        model: the model; there are rows for its parts, and for the kinds of parameters in each.
    """
    rows = []
    for name, part in (*model.named_children(), ('whole model', model)):
        kinds = dict(zip(('pretrained', 'new'), count_parameters(part), strict=True))
        whole = ParameterCount(*map(sum, zip(*kinds.values(), strict=True)))
        if whole.total:
            rows.append((name, whole))
        if kinds['pretrained'].total:
            rows += [(f'  {kind}', count) for kind, count in kinds.items() if count.total]
    return rows


def parameter_table(model: nn.Module) -> str:
    """A table as text: parameters of each part of a model, how many of them train, and the share.

    Parts with pretrained parameters are split into pretrained and new ones.

    Args:
        model: the model; on the meta device as well.
    """
    table = Table('part', box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ('total', 'trainable', 'share'):
        table.add_column(column, justify='right')
    for name, (total, trainable) in parameter_rows(model):
        table.add_row(name, f'{total:,}', f'{trainable:,}', f'{trainable / total:.2%}')
    text = io.StringIO()
    Console(file=text, width=100, markup=False, emoji=False).print(table)
    return '\n'.join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())


def _addmm(_: torch.Size, first: torch.Size, second: torch.Size, **__) -> int:
    return 2 * first[0] * first[1] * second[1]


def count_flops(call: Callable[[], object]) -> int:
    """Count the floating-point operations of a call's matrix products, convolutions and attention.

    A multiplication is one, and so is an addition. Everything else counts nothing: normalisation, activations,
    resizing, and the sampling of deformable convolutions (their products count).

    Args:
        call: what to run, without gradients; on the CPU or a GPU.

    Returns:
        The number.
    """
    # The counter knows neither the fused attention of CPUs and of nn.MultiheadAttention, nor the product in place
    # within mmcv's deformable convolution.
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: _addmm})
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()
