import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrefseg.models.layers.adapters import MultiScaleBranches


def plain(module, x):
    """Convolution without bias, BN with running statistics and eps 1e-3, ReLU, written out."""
    convolve = F.conv1d if module.conv.weight.ndim == 3 else F.conv2d
    y = convolve(x, module.conv.weight, padding=module.conv.weight.shape[-1] // 2)
    shape = (1, -1) + (1, ) * (x.ndim - 2)
    norm = module.norm
    y = (y - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-3).sqrt()
    return (y * norm.weight.view(shape) + norm.bias.view(shape)).clamp(min=0)


@pytest.fixture(params=[1, 2])
def dims(request):
    return request.param


def make_branches(dims, dense):
    branches = MultiScaleBranches(32, dims=dims, dense=dense).eval()
    for module in branches.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.01, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return branches


@pytest.mark.parametrize('dense', [False, True])
def test_against_plain_formula(dims, dense):
    branches = make_branches(dims, dense)
    x = torch.randn(2, 32, *(7, 5)[:dims])
    first = plain(branches.branch1, x)
    seen = torch.cat((x, first), 1) if dense else x
    second = plain(branches.branch2[1], plain(branches.branch2[0], seen))
    seen = torch.cat((x, first, second), 1) if dense else x
    third = plain(branches.branch3[1], plain(branches.branch3[0], seen))
    torch.testing.assert_close(branches(x), torch.cat((first, second, third), 1), atol=1e-5, rtol=1e-5)


def test_published_widths():
    branches = MultiScaleBranches(128)
    shapes = [tuple(p.shape) for p in branches.parameters() if p.ndim == 4]
    assert shapes == [(64, 128, 1, 1), (8, 128, 1, 1), (32, 8, 3, 3), (8, 128, 1, 1), (32, 8, 5, 5)]
    dense = [tuple(p.shape) for p in MultiScaleBranches(64, dims=1, dense=True).parameters() if p.ndim == 3]
    assert dense == [(32, 64, 1), (4, 96, 1), (16, 4, 3), (4, 112, 1), (16, 4, 5)]
