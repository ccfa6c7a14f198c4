"""How many floating-point operations a model needs."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


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
