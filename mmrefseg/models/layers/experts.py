"""The two experts of SERA-Adapter and the four of SERA-Fusion (arXiv 2603.12538). Each keeps the resolution.

What those of SERA-Fusion add starts at zero (ours; the paper is silent): slopes and curvatures of a map are several
times larger than the map, and a random mixture of them would bury it. None of the four holds batch statistics, so that
an expert may see any subset of a batch.
"""

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from .coordinates import coordinate_grid
from .initialization import zeroed


def _separable_conv(channels: int) -> nn.Sequential:
    """Depthwise 3×3, then pointwise 1×1."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.Conv2d(channels, channels, 1))


class AdapterBoundaryExpert(nn.Module):
    """g + β · DSConv(g), linear: sharpens local differences.

    Args:
        channels: channels of the grid.
        beta: weight of the convolution's term. Default 0.1.
    """

    def __init__(self, channels: int, beta: float = 0.1) -> None:
        super().__init__()
        self.beta = beta
        self.conv = _separable_conv(channels)

    def forward(self, grid: Tensor) -> Tensor:
        """Sharpen a grid by a share of its convolution.

        Args:
            grid: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return grid + self.beta * self.conv(grid)


class AdapterSpatialExpert(nn.Module):
    """g + α · ReLU(BN(DSConv(g))): a nonlinear look at the neighbourhood.

    Args:
        channels: channels of the grid.
        alpha: weight of the convolution's term. Default 0.3.
    """

    def __init__(self, channels: int, alpha: float = 0.3) -> None:
        super().__init__()
        self.alpha = alpha
        self.conv = _separable_conv(channels)
        self.norm = build_norm_layer(dict(type='BN'), channels)[1]

    def forward(self, grid: Tensor) -> Tensor:
        """Add a share of the convolved grid, where positive.

        Args:
            grid: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return grid + self.alpha * self.norm(self.conv(grid)).relu()


_SMOOTH, _SLOPE, _CURVE = (0.25, 0.5, 0.25), (-1.0, 0.0, 1.0), (1.0, -2.0, 1.0)


def _band(taps: tuple[float, float, float], like: Tensor, dim: int) -> Tensor:
    """The matrix (L, L) that filters lines of ``like`` along ``dim`` with three taps; the border repeats its pixels."""
    here = torch.arange(like.shape[dim], device=like.device)
    identity = torch.eye(len(here), device=like.device)
    before, after = identity[(here - 1).clamp(min=0)], identity[(here + 1).clamp(max=len(here) - 1)]
    return taps[0] * before + taps[1] * identity + taps[2] * after


def _down(taps: tuple[float, float, float], x: Tensor) -> Tensor:
    """Filter (B, H, W, C) along its columns."""
    return (_band(taps, x, 1) @ x.flatten(2)).unflatten(2, x.shape[2:])


def _across(taps: tuple[float, float, float], x: Tensor) -> Tensor:
    """Filter (B, H, W, C) along its rows."""
    return _band(taps, x, 2) @ x


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel derivatives in x and y of a map, each channel by itself; the border repeats its pixels.

    In float32, and as products with banded matrices: on a CPU far faster than depthwise convolutions, and than sums
    of shifted views once there is a gradient.

    Args:
        x: (B, C, H, W).

    Returns:
        Two maps (B, C, H, W), float32.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().permute(0, 2, 3, 1)
        dx, dy = _down(_SMOOTH, _across(_SLOPE, x)), _across(_SMOOTH, _down(_SLOPE, x))
    return 4 * dx.permute(0, 3, 1, 2), 4 * dy.permute(0, 3, 1, 2)


def blur_and_laplacian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Binomial 3×3 blur and 4-neighbour Laplacian of a map; the border repeats its pixels.

    Args:
        x: (B, C, H, W).

    Returns:
        Two maps (B, C, H, W), float32.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float().permute(0, 2, 3, 1)
        blur, laplacian = _down(_SMOOTH, _across(_SMOOTH, x)), _down(_CURVE, x) + _across(_CURVE, x)
    return blur.permute(0, 3, 1, 2), laplacian.permute(0, 3, 1, 2)


class SpatialExpert(nn.Module):
    """Adds a 1×1 projection of the normalised coordinate grid.

    Args:
        channels: channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = zeroed(nn.Conv2d(2, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add projected coordinates to a map.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return x + self.project(coordinate_grid(x))


class ContextualExpert(nn.Module):
    """Adds multi-head self-attention over positions.

    Args:
        channels: channels of the map.
        num_heads: attention heads; divides ``channels``. Default 8.
    """

    def __init__(self, channels: int, num_heads: int = 8) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        zeroed(self.attention.out_proj)

    def forward(self, x: Tensor) -> Tensor:
        """Add self-attention over positions to a map.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        positions = x.flatten(2).transpose(1, 2)
        attended = self.attention(positions, positions, positions, need_weights=False)[0]
        return x + attended.transpose(1, 2).unflatten(2, x.shape[2:])


class BoundaryExpert(nn.Module):
    """Adds a 1×1 convolution of the Sobel gradient's magnitude.

    Args:
        channels: channels of the map.
        eps: added to the squared magnitude, so that the gradient is finite where the map is flat. Default 1e-6.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.project = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add the projected magnitude of the gradient to a map.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        dx, dy = sobel(x)
        magnitude = (dx.square() + dy.square() + self.eps).sqrt()
        return x + self.project(magnitude.to(x.dtype))


class ShapeExpert(nn.Module):
    """Adds low and high frequencies (fixed blur and Laplacian) joined by a 1×1 convolution.

    Args:
        channels: channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = zeroed(nn.Conv2d(2 * channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add projected low and high frequencies to a map.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return x + self.project(torch.cat(blur_and_laplacian(x), dim=1).to(x.dtype))
