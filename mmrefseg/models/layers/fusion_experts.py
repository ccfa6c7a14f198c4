"""The four experts of SERA-Fusion (arXiv 2603.12538). Each keeps the resolution and adds to its input.

None holds batch statistics, so that an expert may see any subset of a batch.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .coordinates import coordinate_grid


def _neighbours(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each pixel's predecessor, itself and its successor along ``dim``, which is padded by one on both sides."""
    length = x.shape[dim] - 2
    return x.narrow(dim, 0, length), x.narrow(dim, 1, length), x.narrow(dim, 2, length)


def _smooth(x: Tensor, dim: int) -> Tensor:
    """The binomial filter (1, 2, 1) / 4 along ``dim``."""
    before, here, after = _neighbours(x, dim)
    return 0.25 * (before + after) + 0.5 * here


def _slope(x: Tensor, dim: int) -> Tensor:
    """The central difference (-1, 0, 1) along ``dim``."""
    before, _, after = _neighbours(x, dim)
    return after - before


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel derivatives in x and y of a map (B, C, H, W), each channel by itself; the border repeats its pixels.

    Sums of shifted views: as depthwise convolutions, fixed 3×3 filters are ten times slower on a CPU.
    """
    padded = F.pad(x, (1, 1, 1, 1), mode='replicate')
    return 4 * _slope(_smooth(padded, 2), 3), 4 * _slope(_smooth(padded, 3), 2)


def blur_and_laplacian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Binomial 3×3 blur and 4-neighbour Laplacian of a map (B, C, H, W); the border repeats its pixels."""
    padded = F.pad(x, (1, 1, 1, 1), mode='replicate')
    up, _, down = _neighbours(padded[..., 1:-1], 2)
    left, _, right = _neighbours(padded[..., 1:-1, :], 3)
    return _smooth(_smooth(padded, 2), 3), up + down + left + right - 4 * x


class SpatialExpert(nn.Module):
    """Adds a 1×1 projection of the normalised coordinate grid.

    Args:
        channels: channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
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

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
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
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        dx, dy = sobel(x.float())  # squares overflow float16
        magnitude = (dx.square() + dy.square() + self.eps).sqrt()
        return x + self.project(magnitude.to(x.dtype))


class ShapeExpert(nn.Module):
    """Adds low and high frequencies (fixed blur and Laplacian) joined by a 1×1 convolution.

    Args:
        channels: channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return x + self.project(torch.cat(blur_and_laplacian(x), dim=1))
