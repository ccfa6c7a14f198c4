"""A 3×3 convolution whose taps move."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from mmrefseg.errors import InputError, MissingPackageError
from mmrefseg.utils.mmcv_operator_stubs import MEND, compiled, compiled_for_cuda

from .initialization import zeroed


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


def _positions(offset: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Row and column, each (B · groups, 9, H, W), where the taps look."""
    batch, _, height, width = offset.shape
    taps = offset.reshape(batch * groups, 9, 2, height, width)
    side, row, column = (torch.arange(n, device=offset.device) for n in (3, height, width))
    rows = taps[:, :, 0] + side.repeat_interleave(3)[:, None, None] - 1 + row[:, None]
    return rows, taps[:, :, 1] + side.repeat(3)[:, None, None] - 1 + column


def _with_torch(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, groups: int) -> Tensor:
    if x.device.type == 'cpu' and not torch.is_grad_enabled():
        return _with_bags(x, offset, mask, weight, groups)
    batch, channels, height, width = x.shape
    rows, columns = _positions(offset, groups)
    grid = torch.stack(((2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1), dim=-1)
    sampled = F.grid_sample(
        x.reshape(batch * groups, channels // groups, height, width), grid.flatten(1, 2), align_corners=False)
    if mask is not None:
        sampled = sampled * mask.reshape(batch * groups, 1, 9 * height, width)
    return F.conv2d(sampled.reshape(batch, channels * 9, height, width), weight.flatten(1)[:, :, None, None])


def _neighbours(offset: Tensor, mask: Tensor | None, groups: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each position and how much they count, each (B · groups, H · W, 9, 4)."""
    batch, _, height, width = offset.shape
    rows, columns = (axis.flatten(2).mT for axis in _positions(offset, groups))
    full = 1 if mask is None else mask.reshape(batch * groups, 9, -1).mT
    pixels, shares = [], []
    for row, row_share in _between(rows):
        for column, column_share in _between(columns):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            pixels.append((row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).int())
            shares.append(row_share * column_share * inside * full)
    return torch.stack(pixels, -1), torch.stack(shares, -1)


def _between(positions: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The whole numbers on both sides, and the share of each."""
    before = positions.floor()
    return (before, 1 - (positions - before)), (before + 1, positions - before)


def _with_bags(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, groups: int) -> Tensor:
    """Without gradients: whole pixels are summed, some rows at once, so that the samples don't leave the cache."""
    batch, channels, height, width = x.shape
    indices, shares = _neighbours(offset, mask, groups)
    pixels = x.reshape(batch * groups, channels // groups, -1).mT.contiguous()
    kernels = weight.reshape(len(weight), groups, channels // groups, 9).permute(1, 3, 2, 0).flatten(1, 2).contiguous()
    output = x.new_zeros(batch, height * width, len(weight))
    step = max(1, _SAMPLES // (9 * channels // groups))
    for i in range(batch * groups):
        for start in range(0, height * width, step):
            chosen = slice(start, start + step)
            bags, weights = (tensor[i, chosen].flatten(0, 1) for tensor in (indices, shares))
            sampled = F.embedding_bag(bags, pixels[i], mode='sum', per_sample_weights=weights)
            output[i // groups, chosen].addmm_(sampled.view(-1, len(kernels[0])), kernels[i % groups])
    return output.mT.reshape(batch, -1, height, width)


_OPERATORS: dict[str, Callable[[Tensor, Tensor, Tensor | None, Tensor, int], Tensor]] = {
    'mmcv': _with_mmcv,
    'torchvision': _with_torchvision,
    'torch': _with_torch,
}
_SAMPLES = 2**22  # sampled values at once, in float32
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
            ``'torch'`` the same with ``grid_sample``, and with ``embedding_bag`` on CPUs without gradients: on CPUs
            training is four times faster than with torchvision's kernel and ten times faster than with mmcv's.
            ``'auto'`` takes ``'torch'`` but for GPUs; there ``'mmcv'`` if its CUDA operators are compiled, else
            ``'torchvision'``. Default ``'auto'``.

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
        """Put every tap at its own position."""
        zeroed(self.conv_offset)

    def forward(self, x: Tensor) -> Tensor:
        """Predict the offsets, and convolve a map with the moved taps.

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
