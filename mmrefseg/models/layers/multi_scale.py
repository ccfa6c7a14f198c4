"""The three parallel convolution branches of adapters, in one or two dimensions."""
import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn


class MultiScaleBranches(nn.Module):
    """1×1, 3×3 and 5×5 branches side by side, concatenated to as many channels as came in.

    The widths are those of DETRIS's aligner (arXiv 2501.08580): a half, a quarter and a quarter of the channels,
    the larger kernels behind a reduction to a sixteenth. Every convolution has BN (eps 1e-3) and ReLU.

    Args:
        channels: channels in and out, a multiple of 16.
        dims: 1 for sequences (B, C, L), 2 for maps (B, C, H, W). Default 2.
        dense: whether a branch also sees the outputs of those before it (DETRIS). Default False (SERA).
    """

    def __init__(self, channels: int, dims: int = 2, dense: bool = False) -> None:
        super().__init__()
        self.dense = dense
        half, quarter, reduced = channels // 2, channels // 4, channels // 16
        seen = (channels, channels + half, channels + half + quarter) if dense else (channels, ) * 3
        self.branch1 = self._conv(seen[0], half, 1, dims)
        self.branch2 = nn.Sequential(self._conv(seen[1], reduced, 1, dims), self._conv(reduced, quarter, 3, dims))
        self.branch3 = nn.Sequential(self._conv(seen[2], reduced, 1, dims), self._conv(reduced, quarter, 5, dims))

    @staticmethod
    def _conv(in_channels: int, out_channels: int, kernel_size: int, dims: int) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            conv_cfg=dict(type=f'Conv{dims}d'),
            norm_cfg=dict(type=f'BN{dims}d', eps=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate what the three branches see.

        Args:
            x: (B, C, ...), a sequence or a map.

        Returns:
            (B, C, ...).
        """
        outputs: list[Tensor] = []
        for branch in (self.branch1, self.branch2, self.branch3):
            outputs.append(branch(torch.cat((x, *outputs), dim=1) if self.dense else x))
        return torch.cat(outputs, dim=1)
