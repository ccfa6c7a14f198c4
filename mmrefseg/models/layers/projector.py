"""CRIS's visual projector: two upsampling stages and a 1×1 convolution."""
from mmcv.cnn import ConvModule
from torch import Tensor, nn


class UpsampleProjector(nn.Module):
    """Enlarges a map 4× in two stages of bilinear ×2 and 3×3 convolution (arXiv 2111.15174).

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False)
        self.conv1 = ConvModule(in_channels, in_channels, 3, padding=1, norm_cfg=dict(type='BN'))
        self.conv2 = ConvModule(in_channels, channels, 3, padding=1, norm_cfg=dict(type='BN'))
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, channels, 4H, 4W)."""
        return self.out(self.conv2(self.upsample(self.conv1(self.upsample(x)))))
