"""The two experts of SERA-Adapter (arXiv 2603.12538)."""
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn


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
