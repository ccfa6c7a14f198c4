import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrefseg.models.layers.projector import UpsampleProjector, UpsampleStage

ADDITIONS = dict(dcn='DCN', residual=True, se_ratio=2)


def make(in_channels=4, channels=2, **additions):
    """In evaluation mode, with all weights and statistics away from their start."""
    projector = UpsampleProjector(in_channels, channels, **additions).eval()
    for name, value in projector.state_dict().items():
        if name.endswith(('bn.weight', 'running_var')):
            nn.init.uniform_(value, 0.5, 2)
        elif value.is_floating_point():
            nn.init.normal_(value, std=0.4)
    return projector


def conv_and_norm(part, x, padding=0):
    x = F.conv2d(x, part.conv.weight, padding=padding)
    mean, deviation = part.bn.running_mean, (part.bn.running_var + part.bn.eps).sqrt()
    mean, deviation, weight, bias = (v[:, None, None] for v in (mean, deviation, part.bn.weight, part.bn.bias))
    return (x - mean) / deviation * weight + bias


def plain(stage, x):
    large = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
    return large, conv_and_norm(stage, large, padding=1).clamp(min=0)


def test_against_plain_formula():
    projector = make()
    x = torch.randn(2, 4, 3, 5)
    expected = x
    for stage in (projector.conv1, projector.conv2):
        expected = plain(stage, expected)[1]
    expected = F.conv2d(expected, projector.out.weight, projector.out.bias)
    output = projector(x)
    assert output.shape == (2, 2, 12, 20)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('se_ratio', [None, 2])
@pytest.mark.parametrize('residual', [False, True])
def test_additions_against_plain_formula(residual, se_ratio):
    """SE(φ(y)) + F(y) with y the enlarged map."""
    projector = make(32, 24, residual=residual, se_ratio=se_ratio)
    x = torch.randn(2, 32, 3, 5)
    expected = x
    for stage in (projector.conv1, projector.conv2):
        large, output = plain(stage, expected)
        if se_ratio:
            first, second = stage.excite.conv1.conv, stage.excite.conv2.conv
            assert first.weight.shape[:2] == (output.shape[1] // 2 + 4 * (output.shape[1] == 24), output.shape[1])
            squeezed = output.mean((2, 3)) @ first.weight[:, :, 0, 0].T + first.bias
            excited = squeezed.clamp(min=0) @ second.weight[:, :, 0, 0].T + second.bias
            output = output / (1 + (-excited).exp())[:, :, None, None]
        expected = output + conv_and_norm(stage.residual, large) if residual else output
    expected = F.conv2d(expected, projector.out.weight, projector.out.bias)
    torch.testing.assert_close(projector(x), expected, atol=1e-4, rtol=1e-4)


def test_the_deformable_convolution_stands_in_for_the_plain_one():
    projector = make(dcn='DCNv2')
    x = torch.randn(2, 4, 3, 5)
    output = projector(x)
    for stage in (projector.conv1, projector.conv2):
        stage.conv.forward = lambda x, conv=stage.conv: F.conv2d(x, conv.weight, padding=1)
    expected = projector(x)
    assert output.shape == expected.shape
    assert not torch.allclose(output, expected, atol=0.1)
    for stage in (projector.conv1, projector.conv2):
        stage.conv.zero_offsets()
        del stage.conv.forward
        stage.conv.weight.data *= 2  # every tap counts half
    torch.testing.assert_close(projector(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('name', ADDITIONS)
def test_each_addition_has_weights_of_its_own(name):
    added = {
        'dcn': {'conv.conv_offset.weight', 'conv.conv_offset.bias'},
        'residual': {f'residual.{part}' for part in ('conv.weight', 'bn.weight', 'bn.bias')},
        'se_ratio': {f'excite.conv{i}.conv.{part}' for i in (1, 2) for part in ('weight', 'bias')},
    }
    without, on = (dict(UpsampleProjector(4, 2, **settings).named_parameters()).keys()
                   for settings in ({}, {name: ADDITIONS[name]}))
    assert on - without == {f'{stage}.{part}' for stage in ('conv1', 'conv2') for part in added[name]}
    assert without <= on


@pytest.mark.parametrize('se_ratio', [0, -1, 2.5])
def test_impossible_ratio(se_ratio):
    with pytest.raises(ValueError, match=f'se_ratio is {se_ratio}; it must be a whole number from 1, or None'):
        UpsampleStage(8, 8, se_ratio=se_ratio)


def test_without_additions_it_is_made_from_the_same_random_numbers():
    """Seeds keep the meaning that they had before there were additions."""
    torch.manual_seed(0)
    stages = [(4, 4), (4, 2)]
    expected = []
    for in_channels, channels in stages:
        weight = nn.Conv2d(in_channels, channels, 3, bias=False).weight
        expected.append(nn.init.kaiming_normal_(weight, mode='fan_out', nonlinearity='relu'))
    torch.manual_seed(0)
    projector = UpsampleProjector(4, 2)
    assert all(torch.equal(stage.conv.weight, weight)
               for stage, weight in zip((projector.conv1, projector.conv2), expected, strict=True))
