import math

import pytest
import torch
from torch import nn

from mmrefseg.models.layers.experts import (
    BoundaryExpert,
    ContextualExpert,
    ShapeExpert,
    SpatialExpert,
    blur_and_laplacian,
    sobel,
)
from mmrefseg.models.necks.sera_fusion import fusion_experts

SOBEL_X = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
SOBEL_Y = ((-1, -2, -1), (0, 0, 0), (1, 2, 1))
BLUR = ((1 / 16, 2 / 16, 1 / 16), (2 / 16, 4 / 16, 2 / 16), (1 / 16, 2 / 16, 1 / 16))
LAPLACIAN = ((0, 1, 0), (1, -4, 1), (0, 1, 0))


def trained(module):
    """The module with parameters as training leaves them: none of them zero."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def correlate(x, kernel):
    """3×3 correlation by loops; a position outside counts as the nearest one inside."""
    height, width = x.shape[2:]
    output = torch.zeros_like(x)
    for row in range(height):
        for column in range(width):
            for i in range(3):
                for j in range(3):
                    y = min(max(row + i - 1, 0), height - 1)
                    z = min(max(column + j - 1, 0), width - 1)
                    output[:, :, row, column] += kernel[i][j] * x[:, :, y, z]
    return output


def mix_channels(conv, x):
    """A 1×1 convolution by loops over channels."""
    output = torch.zeros(len(x), conv.out_channels, *x.shape[2:])
    for o in range(conv.out_channels):
        output[:, o] = conv.bias[o]
        for i in range(conv.in_channels):
            output[:, o] += conv.weight[o, i, 0, 0] * x[:, i]
    return output


@pytest.mark.parametrize('size', [(5, 7), (2, 3), (1, 4), (1, 1)])
def test_filters_against_loops(size):
    x = torch.randn(2, 3, *size)
    for found, kernel in zip((*sobel(x), *blur_and_laplacian(x)), (SOBEL_X, SOBEL_Y, BLUR, LAPLACIAN), strict=True):
        torch.testing.assert_close(found, correlate(x, kernel), atol=1e-5, rtol=1e-5)


def test_sobel_of_a_ramp_and_an_edge():
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    dx, dy = sobel(ramp)
    assert dx[0, 0].tolist() == [[4, 8, 8, 8, 4]] * 4  # half the slope where the border repeats
    assert not dy.any()
    dx, dy = sobel(ramp.transpose(2, 3))
    assert dy[0, 0].T.tolist() == [[4, 8, 8, 8, 4]] * 4
    assert not dx.any()
    edge = torch.tensor([0.0, 0, 1, 1]).expand(1, 1, 3, 4)
    assert sobel(edge)[0][0, 0].tolist() == [[0, 4, 4, 0]] * 3


def test_blur_and_laplacian_of_a_delta():
    delta = torch.zeros(1, 1, 5, 5)
    delta[0, 0, 2, 2] = 1
    blur, laplacian = blur_and_laplacian(delta)
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = torch.tensor(BLUR)
    assert torch.equal(blur[0, 0], expected)
    expected[1:4, 1:4] = torch.tensor(LAPLACIAN)
    assert torch.equal(laplacian[0, 0], expected)


def test_filters_leave_a_constant_alone():
    x = torch.full((1, 2, 3, 4), 2.5)
    assert not any(d.any() for d in sobel(x))
    blur, laplacian = blur_and_laplacian(x)
    assert torch.equal(blur, x)
    assert not laplacian.any()


def test_spatial_expert_by_hand():
    expert = SpatialExpert(1)
    with torch.no_grad():
        expert.project.weight.copy_(torch.tensor([3.0, 10.0]).view(1, 2, 1, 1))
        expert.project.bias.fill_(0.5)
    output = expert(torch.ones(2, 1, 2, 3))
    assert output.tolist() == [[[[1.5 - 3 - 10, 1.5 - 10, 1.5 + 3 - 10], [1.5 - 3 + 10, 1.5 + 10, 1.5 + 3 + 10]]]] * 2


def test_contextual_expert_against_plain_attention():
    expert = trained(ContextualExpert(8, num_heads=2))
    x = torch.randn(2, 8, 2, 3)
    positions = x.flatten(2).transpose(1, 2)
    query, key, value = nn.functional.linear(
        positions, expert.attention.in_proj_weight, expert.attention.in_proj_bias).chunk(3, dim=2)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = query[..., head] @ key[..., head].transpose(1, 2) / math.sqrt(4)
        heads.append(scores.softmax(2) @ value[..., head])
    attended = expert.attention.out_proj(torch.cat(heads, dim=2))
    expected = x + attended.transpose(1, 2).reshape(2, 8, 2, 3)
    torch.testing.assert_close(expert(x), expected, atol=1e-5, rtol=1e-5)


def test_boundary_expert_against_loops():
    expert = trained(BoundaryExpert(3))
    x = torch.randn(2, 3, 4, 5)
    magnitude = (correlate(x, SOBEL_X)**2 + correlate(x, SOBEL_Y)**2).sqrt()
    torch.testing.assert_close(expert(x), x + mix_channels(expert.project, magnitude), atol=1e-4, rtol=1e-4)


def test_boundary_expert_on_a_flat_map_has_a_finite_gradient():
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    trained(BoundaryExpert(2))(x).sum().backward()
    assert x.grad.isfinite().all()


def test_boundary_expert_in_half_precision():
    x = 200 * torch.randn(1, 2, 4, 4)
    expert = trained(BoundaryExpert(2))
    with torch.autocast('cpu', dtype=torch.float16):
        output = expert(x.half())
    assert output.isfinite().all()


def test_shape_expert_against_loops():
    expert = trained(ShapeExpert(3))
    x = torch.randn(2, 3, 4, 5)
    joined = torch.cat((correlate(x, BLUR), correlate(x, LAPLACIAN)), dim=1)
    torch.testing.assert_close(expert(x), x + mix_channels(expert.project, joined), atol=1e-5, rtol=1e-5)


def test_the_four_experts():
    experts = fusion_experts(8, num_heads=2)
    assert list(experts) == ['spatial', 'contextual', 'boundary', 'shape']
    x = torch.randn(2, 8, 3, 5)
    for name, expert in experts.items():
        assert torch.equal(expert(x), x), f'{name} must start as the identity'
        trained(expert)
        assert expert(x).shape == x.shape, name
        # what a sample becomes must not depend on its batch
        torch.testing.assert_close(expert(x)[1:], expert(x[1:]), msg=name)
