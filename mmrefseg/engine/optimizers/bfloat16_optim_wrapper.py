"""Training under bfloat16 autocast, on any device."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn
from torch.backends import cuda as attention_flags
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer

from mmrefseg.errors import InputError
from mmrefseg.registry import OPTIM_WRAPPERS
from mmrefseg.utils.collect_env import computes_in_bfloat16
from mmrefseg.utils.type_hints import Count


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention by matrix products in the tensors' own type, for bfloat16 on a CPU four times as fast as the fused."""
    allowed = attention_flags.fp16_bf16_reduction_math_sdp_allowed()
    attention_flags.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        attention_flags.allow_fp16_bf16_reduction_math_sdp(allowed)


@cache
def _say_float32() -> None:
    print_log('This CPU has no instructions for bfloat16, and imitating them takes several times as long as float32: '
              'training goes on in float32.', 'current', logging.WARNING)


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast; bfloat16 has float32's range and needs no loss scaling.

    MMEngine's ``AmpOptimWrapper`` refuses to run on a CPU. There, attention is computed by plain matrix products, which
    are faster. A CPU without instructions for bfloat16 (AVX-512 or AMX on x86) computes in float32, with a warning.

    Args:
        optimizer: what updates the parameters.
        accumulative_counts: batches whose gradients are summed up for one step. Default 1.
        clip_grad: arguments of PyTorch's gradient clipping, as MMEngine's ``OptimWrapper`` takes them. Default None.

    Raises:
        InputError: ``clip_grad`` is empty or of an unknown ``type``.
    """

    def __init__(self, optimizer: Optimizer, accumulative_counts: Count = 1, clip_grad: dict | None = None) -> None:
        if clip_grad is not None and (not clip_grad or clip_grad.get('type', 'norm') not in ('norm', 'value')):
            raise InputError(f"clip_grad is {clip_grad}; it must name a limit, as dict(max_norm=1) or "
                             "dict(type='value', clip_value=1) do, or be None")
        super().__init__(optimizer, accumulative_counts, clip_grad)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of the forward pass of ``model``."""
        device = next(model.parameters()).device.type
        if device == 'cpu' and not computes_in_bfloat16(device):
            _say_float32()
            with super().optim_context(model):
                yield
            return
        attention = _plain_attention() if device == 'cpu' else nullcontext()
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16), attention:
            yield
