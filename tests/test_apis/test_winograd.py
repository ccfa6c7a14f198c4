"""3×3 convolutions by NNPACK."""
import pytest
import torch
from torch import nn

from mmrefseg.apis.inference import winograd
from mmrefseg.apis.inference.winograd import WinogradConv2d, use_winograd
from mmrefseg.models.layers.deformable_conv import DeformableConv

needs_nnpack = pytest.mark.skipif(not torch.backends.nnpack.is_available(), reason='there is no NNPACK on this machine')


@pytest.fixture(autouse=True)
def avx2(monkeypatch):
    """Other processors compute the same, but slower, and so aren't chosen."""
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2')


@pytest.fixture
def taken(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the maps that NNPACK got."""
    shapes, compute = [], torch._nnpack_spatial_convolution
    monkeypatch.setattr(torch, '_nnpack_spatial_convolution',
                        lambda x, *rest: shapes.append(tuple(x.shape)) or compute(x, *rest))
    return shapes


def convolution(bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 72, 3, padding=1, bias=bias))
    use_winograd(model)
    return model[0]


@needs_nnpack
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_equals_the_plain_convolution(taken, bias, layout):
    conv, x = convolution(bias), torch.randn(3, 64, 21, 50).to(memory_format=layout)
    with torch.inference_mode():
        y, plain = conv(x), nn.Conv2d.forward(conv, x)
        assert torch.equal(conv(x[1:2]), y[1:2])
    torch.testing.assert_close(y, plain, atol=1e-4 * plain.abs().max().item(), rtol=0)
    assert taken == 4 * [(1, 64, 21, 50)]


@needs_nnpack
def test_elsewhere_it_is_the_plain_convolution(taken):
    conv, x = convolution(), torch.randn(1, 64, 20, 20)
    with torch.no_grad():
        conv(x[..., :19])
        with torch.autocast('cpu', torch.bfloat16):
            assert conv(x).dtype == torch.bfloat16
        assert torch.export.export(conv, (x, )).module()(x).shape == (1, 72, 20, 20)
        conv.double()(x.double())
    conv.float()(x).sum().backward()
    assert conv.weight.grad is not None and taken == []


@needs_nnpack
def test_chooses_plain_3x3_convolutions_and_keeps_their_weights():
    others = [nn.Conv2d(64, 64, **shape) for shape in (
        dict(kernel_size=1), dict(kernel_size=3), dict(kernel_size=3, stride=2, padding=1),
        dict(kernel_size=3, padding=1, groups=4), dict(kernel_size=3, padding=2, dilation=2),
        dict(kernel_size=3, padding=1, padding_mode='reflect'))]
    narrow = nn.Conv2d(63, 64, 3, padding=1)
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), DeformableConv(64, 64), narrow, *others)
    names = list(model.state_dict())
    use_winograd(model)
    chosen = [name for name, module in model.named_modules() if isinstance(module, WinogradConv2d)]
    assert chosen == ['0'] and list(model.state_dict()) == names


def test_not_where_it_may_be_slower(monkeypatch):
    monkeypatch.setattr(winograd.torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX512')
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1))
    use_winograd(model)
    assert type(model[0]) is nn.Conv2d
