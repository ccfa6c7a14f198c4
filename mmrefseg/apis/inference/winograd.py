"""3×3 convolutions on CPUs with less than half of the multiplications."""
from __future__ import annotations

import torch
from torch import Tensor, nn

# With less, transforming kernels and maps costs as much as it saves.
_LEAST_SIDE, _LEAST_CHANNELS = 20, 64
_PADDING = (1, 1)


class WinogradConv2d(nn.Conv2d):
    """A 3×3 convolution that NNPACK, a part of PyTorch, computes by Winograd's algorithm (arXiv 1509.09308).

    Maps of some size in float32 without gradients only, one by one, as that is where it is faster than PyTorch's own
    choice; all else is computed as ever. Results differ from that by about 1e-5 of the largest.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps.

        Args:
            x: (B, in_channels, H, W).
        """
        fits = x.device.type == 'cpu' and x.dtype == torch.float32 and min(x.shape[2:]) >= _LEAST_SIDE
        if not fits or torch.is_grad_enabled() or torch.is_autocast_enabled('cpu') or torch.compiler.is_compiling():
            return super().forward(x)
        return torch.cat([torch._nnpack_spatial_convolution(one, self.weight, self.bias, _PADDING)
                          for one in x.split(1)])


def use_winograd(model: nn.Module) -> None:
    """Let a model's wide plain 3×3 convolutions be :class:`WinogradConv2d`, where NNPACK is and is known to be faster.

    That is on CPUs with AVX2 but not AVX-512. Weights and their names stay, so that checkpoints load and save as ever.

    Args:
        model: its convolutions are changed in place.
    """
    # Asking whether NNPACK is there also starts it.
    if torch.backends.cpu.get_cpu_capability() != 'AVX2' or not torch.backends.nnpack.is_available():
        return
    for module in model.modules():
        if type(module) is nn.Conv2d and _fits(module):
            module.__class__ = WinogradConv2d


def _fits(conv: nn.Conv2d) -> bool:
    shape = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    is_plain = shape == ((3, 3), (1, 1), _PADDING, (1, 1), 1, 'zeros')
    return is_plain and min(conv.in_channels, conv.out_channels) >= _LEAST_CHANNELS
