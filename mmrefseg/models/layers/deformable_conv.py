"""A 3×3 convolution whose taps move."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.init import zeros_
from torchvision.ops import deform_conv2d

from mmrefseg.errors import InputError, MissingPackageError
from mmrefseg.utils.mmcv_operators import MEND, compiled, compiled_for_cuda


@torch.compiler.disable  # its graphs cannot hold mmcv's kernels
def _with_mmcv(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, groups: int) -> Tensor:
    from mmcv.ops import modulated_deform_conv2d  # here, as it takes seconds that few models spend

    if mask is None:
        mask = offset.new_ones(len(x), 9 * groups, *x.shape[2:])
    # mmcv takes for granted that its arguments are contiguous, and on CPUs doesn't check it.
    x, offset, mask, weight = (tensor.contiguous() for tensor in (x, offset, mask, weight))
    return modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1, 1, 1, groups)


def _with_torchvision(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, groups: int) -> Tensor:
    return deform_conv2d(x, offset, weight, padding=1, mask=mask)


def _with_torch(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = x.shape
    taps = offset.reshape(batch * groups, 9, 2, height, width)
    side = torch.arange(3, device=x.device) - 1
    rows = taps[:, :, 0] + side.repeat_interleave(3)[:, None, None] + torch.arange(height, device=x.device)[:, None]
    columns = taps[:, :, 1] + side.repeat(3)[:, None, None] + torch.arange(width, device=x.device)
    grid = torch.stack(((2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1), dim=-1)
    sampled = F.grid_sample(
        x.reshape(batch * groups, channels // groups, height, width), grid.flatten(1, 2), align_corners=False)
    if mask is not None:
        sampled = sampled * mask.reshape(batch * groups, 1, 9 * height, width)
    return F.conv2d(sampled.reshape(batch, channels * 9, height, width), weight.flatten(1)[:, :, None, None])


_OPERATORS: dict[str, Callable[[Tensor, Tensor, Tensor | None, Tensor, int], Tensor]] = {
    'mmcv': _with_mmcv,
    'torchvision': _with_torchvision,
    'torch': _with_torch,
}
_MODULATED = {'DCN': False, 'DCNv2': True}


@cache
def choose_operator(device_type: str) -> str:
    """What ``'auto'`` means on a kind of device; says it once.

    Args:
        device_type: PyTorch's name of the kind, such as ``'cuda'``.
    """
    operator = 'torch'
    if device_type == 'cuda':
        operator = 'mmcv' if compiled_for_cuda() else 'torchvision'
    print_log(f'Deformable convolutions on {device_type} are computed by dcn_operator={operator!r}.', 'current')
    return operator


@torch.compiler.assume_constant_result  # so that its graphs hold the choice, not the choosing
def _named(operator: str, device_type: str) -> str:
    return choose_operator(device_type) if operator == 'auto' else operator


class DeformableConv(nn.Conv2d):
    """Deformable 3×3 convolution, version 1 (arXiv 1703.06211) or 2 (arXiv 1811.11168), without a bias.

    An ordinary convolution predicts where each tap looks, beside its own place, and in version 2 how much it counts.
    Its weights start at zero: version 1 then equals the plain convolution with the same ``weight``, version 2 half of
    it. Version 1 is computed as version 2 whose taps all count in full. Parameters are named as mmcv names them.

    mmcv's kernels know no bfloat16, so samples are taken in float32 under any autocast; the output has the type that
    the plain convolution would give.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        version: ``'DCN'`` or ``'DCNv2'``, mmcv's names. Default ``'DCN'``.
        deform_groups: groups of input channels that have offsets of their own. Default 1.
        operator: what computes it, with equal results. ``'mmcv'`` and ``'torchvision'`` are kernels for CPUs and GPUs,
            ``'torch'`` the same with ``grid_sample``: on CPUs training is four times faster than with torchvision's
            kernel and ten times faster than with mmcv's. ``'auto'`` takes ``'torch'`` but for GPUs; there ``'mmcv'`` if
            its CUDA operators are compiled, else ``'torchvision'``. Default ``'auto'``.

    Raises:
        InputError: version or operator is unknown, or the groups don't divide the input channels.
        MissingPackageError: ``operator`` is ``'mmcv'``, whose operators are not compiled here.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 version: str = 'DCN',
                 deform_groups: int = 1,
                 operator: str = 'auto') -> None:
        if version not in _MODULATED:
            raise InputError(f"dcn is {version!r}; it must be 'DCN', 'DCNv2' or None")
        if operator not in ('auto', *_OPERATORS):
            raise InputError(f"dcn_operator is {operator!r}; it must be 'auto', 'mmcv', 'torchvision' or 'torch'")
        if operator == 'mmcv' and not compiled():
            raise MissingPackageError(
                f"dcn_operator is 'mmcv', whose operators are not compiled here; take 'auto'. {MEND}")
        if deform_groups < 1 or in_channels % deform_groups:
            raise InputError(f'deform_groups is {deform_groups}; it must divide the {in_channels} input channels')
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        self.modulated, self.deform_groups = _MODULATED[version], deform_groups
        self.operator = operator
        self.conv_offset = nn.Conv2d(in_channels, deform_groups * (27 if self.modulated else 18), 3, padding=1)
        self.zero_offsets()

    def zero_offsets(self) -> None:
        """Put every tap at its own place."""
        zeros_(self.conv_offset.weight)
        zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a map.

        Args:
            x: (B, in_channels, H, W).

        Returns:
            (B, out_channels, H, W), of the same type as ``x`` or that of autocast.
        """
        predicted = self.conv_offset(x)
        with torch.autocast(x.device.type, enabled=False):
            offset = predicted[:, :18 * self.deform_groups].float()
            mask = predicted[:, 18 * self.deform_groups:].float().sigmoid() if self.modulated else None
            compute = _OPERATORS[_named(self.operator, x.device.type)]
            output = compute(x.float(), offset, mask, self.weight.float(), self.deform_groups)
        return output.to(predicted.dtype)
