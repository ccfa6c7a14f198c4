"""Floating-point operations, against numbers computed by hand."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrefseg.models.layers.deformable_conv import DeformableConv
from mmrefseg.utils.model_complexity import count_flops


def test_matrix_products():
    assert count_flops(lambda: nn.Linear(3, 5)(torch.randn(2, 7, 3))) == 2 * (2 * 7) * 3 * 5


def test_convolution():
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    assert count_flops(lambda: conv(torch.randn(2, 4, 5, 8))) == 2 * 2 * (5 * 8) * 9 * (4 // 2) * 6


def test_attention():
    """Scores and weighted sum; PyTorch's counter leaves out the fused kernel of CPUs."""
    query, key = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 6, 8)
    assert count_flops(lambda: F.scaled_dot_product_attention(query, key, key)) == 2 * (2 * 2 * 3 * 4 * 6 * 8)


def test_multihead_attention():
    """It is one fused operation without gradients, which has to be taken apart."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(1, 5, 8)
    projections, products = 4 * 2 * 5 * 8 * 8, 2 * 2 * 5 * 5 * 8
    assert count_flops(lambda: attention(x, x, x)) == projections + products
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize('operator', ['mmcv', 'torch'])
@pytest.mark.parametrize(('version', 'predicted'), [('DCN', 18), ('DCNv2', 27)])
def test_deformable_convolution(operator, version, predicted):
    conv = DeformableConv(4, 6, version, operator=operator)
    assert count_flops(lambda: conv(torch.randn(2, 4, 5, 8))) == 2 * 2 * (5 * 8) * 9 * 4 * (6 + predicted)


def test_settings_return_after_an_error():
    with pytest.raises(ZeroDivisionError):
        count_flops(lambda: 1 / 0)
    assert torch.backends.mha.get_fastpath_enabled()
