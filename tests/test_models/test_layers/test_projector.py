import torch
import torch.nn.functional as F
from torch import nn

from mmrefseg.models.layers.projector import UpsampleProjector


def test_against_plain_formula():
    projector = UpsampleProjector(4, 2).eval()
    for stage in (projector.conv1, projector.conv2):
        nn.init.normal_(stage.bn.running_mean)
        nn.init.normal_(stage.bn.weight)
    x = torch.randn(2, 4, 3, 5)
    expected = x
    for stage in (projector.conv1, projector.conv2):
        expected = F.interpolate(expected, scale_factor=2, mode='bilinear', align_corners=False)
        expected = F.conv2d(expected, stage.conv.weight, padding=1)
        expected = F.batch_norm(expected, stage.bn.running_mean, stage.bn.running_var, stage.bn.weight, stage.bn.bias)
        expected = expected.clamp(min=0)
    expected = F.conv2d(expected, projector.out.weight, projector.out.bias)
    output = projector(x)
    assert output.shape == (2, 2, 12, 20)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
