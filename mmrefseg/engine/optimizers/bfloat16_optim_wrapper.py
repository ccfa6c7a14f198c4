"""Training under bfloat16 autocast, on any device."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmrefseg.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast; bfloat16 has float32's range and needs no loss scaling.

    mmengine's ``AmpOptimWrapper`` refuses to run on a CPU. There, attention is computed by plain matrix products: the
    fused kernel is several times slower in bfloat16. Arguments are those of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of the forward pass of ``model``."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            with sdpa_kernel(SDPBackend.MATH) if device == 'cpu' else nullcontext():
                yield
