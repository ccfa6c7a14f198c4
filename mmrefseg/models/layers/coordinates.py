"""Positions as features: coordinate grids, coordinate convolution, fixed sine embeddings."""
import math

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmrefseg.errors import InputError


def coordinate_grid(like: Tensor) -> Tensor:
    """Coordinates of each pixel of a map, from -1 to 1.

    Args:
        like: the map (B, C, H, W); gives size, type and device.

    Returns:
        (B, 2, H, W), x then y.
    """
    height, width = like.shape[-2:]
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
    return grid.expand(like.shape[0], -1, -1, -1)


class CoordConv(nn.Module):
    """Convolution (BN, ReLU) that also sees each pixel's coordinates (arXiv 1807.03247).

    Args:
        in_channels: channels of the input, without the coordinates.
        out_channels: channels of the output.
        kernel_size: odd size of the kernel; padding keeps the resolution. Default 3.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels + 2, out_channels, kernel_size, padding=kernel_size // 2, norm_cfg=dict(type='BN'))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a map that has got coordinates as two more channels.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, out_channels, H, W).
        """
        return self.conv(torch.cat((x, coordinate_grid(x)), dim=1))


def sine_positions(channels: int, length: int, device: torch.device | None = None) -> Tensor:
    """Sine-cosine embedding of 0 … length-1 (arXiv 1706.03762), sine and cosine interleaved.

    Args:
        channels: width of the embedding, an even number.
        length: number of positions.
        device: where it is computed. Default None: PyTorch's default device.

    Returns:
        (length, channels).

    Raises:
        InputError: ``channels`` is odd.
    """
    if channels % 2:
        raise InputError(f'sine positions need an even number of channels, got {channels}')
    frequencies = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(10000.0) / channels))
    angles = torch.arange(length, device=device)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)


def sine_positions_2d(channels: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sine-cosine embedding of a grid, the first half of the channels for x and the second for y.

    Args:
        channels: width of the embedding, a multiple of 4.
        height: rows of the grid.
        width: columns of the grid.
        device: where it is computed. Default None: PyTorch's default device.

    Returns:
        (height·width, channels), row by row.

    Raises:
        InputError: ``channels`` is not a multiple of 4.
    """
    if channels % 4:
        raise InputError(f'2D sine positions need channels divisible by 4, got {channels}')
    x = sine_positions(channels // 2, width, device)
    y = sine_positions(channels // 2, height, device)
    return torch.cat((x.expand(height, -1, -1), y[:, None].expand(-1, width, -1)), dim=2).flatten(0, 1)
