import warnings

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

from mmrefseg.models.layers import deformable_conv
from mmrefseg.models.layers.deformable_conv import DeformableConv, choose_operator
from mmrefseg.utils.mmcv_operator_stubs import compiled

COMPILED = pytest.mark.skipif(not compiled(), reason="mmcv's operators are not compiled here")
VERSIONS = ('DCN', 'DCNv2')
OPERATORS = (pytest.param('mmcv', marks=COMPILED), 'torchvision', 'torch', 'auto')


def make(version, operator='auto', groups=1, moved=True, in_channels=4):
    """Where the taps move they do so by some pixels, often across the border."""
    conv = DeformableConv(in_channels, 3, version, groups, operator)
    if moved:
        nn.init.normal_(conv.conv_offset.weight, std=0.5 / in_channels**0.5)
        nn.init.normal_(conv.conv_offset.bias)
    return conv


def by_torchvision(conv, x):
    predicted = conv.conv_offset(x)
    size = 18 * conv.deform_groups
    mask = predicted[:, size:].sigmoid() if predicted.shape[1] > size else None
    return deform_conv2d(x, predicted[:, :size], conv.weight, padding=1, mask=mask)


def value_and_gradients(function, conv, x):
    output = function(x)
    weight = torch.linspace(-1, 2, output.numel()).view_as(output)
    return output, *torch.autograd.grad((output * weight).sum(), (x, *conv.parameters()))


@pytest.mark.parametrize('operator', OPERATORS)
@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(('groups', 'size'), [(1, (7, 5)), (2, (4, 6)), (1, (1, 1)), (4, (2, 1))])
def test_against_torchvision(version, operator, groups, size):
    conv = make(version, operator, groups)
    x = torch.randn(3, 4, *size, requires_grad=True)
    results = [value_and_gradients(function, conv, x) for function in (conv, lambda x: by_torchvision(conv, x))]
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(('groups', 'size'), [(1, (7, 5)), (2, (4, 6)), (1, (1, 1)), (4, (2, 1))])
@pytest.mark.parametrize('samples', [1, 200, 2**22])
def test_without_gradients(version, groups, size, samples, monkeypatch):
    """In blocks of any size."""
    monkeypatch.setattr(deformable_conv, '_SAMPLES', samples)
    conv = make(version, 'torch', groups)
    x = torch.randn(3, 4, *size)
    with torch.inference_mode():
        torch.testing.assert_close(conv(x), by_torchvision(conv, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('operator', OPERATORS)
@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('autocast', [False, True])
def test_other_orders_in_memory(version, operator, autocast):
    """mmcv's operators themselves give wrong numbers for these, without a word."""
    conv = make(version, operator, groups=2)
    x = torch.randn(2, 4, 5, 7)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
        expected = value_and_gradients(conv, conv, x.clone().requires_grad_())
        conv = conv.to(memory_format=torch.channels_last)
        for view in (x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT):
            assert not view.is_contiguous()
            for found, value in zip(value_and_gradients(conv, conv, view.requires_grad_()), expected, strict=True):
                torch.testing.assert_close(found, value, atol=0.05 if autocast else 1e-4, rtol=0.02)


@COMPILED
@pytest.mark.parametrize(('version', 'theirs'), [('DCN', 'DeformConv2dPack'), ('DCNv2', 'ModulatedDeformConv2dPack')])
@pytest.mark.parametrize('operator', ['mmcv', 'auto'])
def test_it_is_that_of_mmcv(version, theirs, operator):
    conv = make(version, operator, groups=2)
    other = getattr(mmcv.ops, theirs)(4, 3, 3, padding=1, deform_groups=2, bias=False)
    other.load_state_dict(conv.state_dict())
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(conv(x), other(x))


@pytest.mark.parametrize('operator', OPERATORS)
@pytest.mark.parametrize(('version', 'share'), [('DCN', 1.0), ('DCNv2', 0.5)])
def test_it_starts_as_a_plain_convolution(version, share, operator):
    conv = make(version, operator, moved=False)
    x = torch.randn(2, 4, 6, 5)
    torch.testing.assert_close(conv(x), share * F.conv2d(x, conv.weight, padding=1))


@pytest.mark.parametrize('operator', OPERATORS)
@pytest.mark.parametrize('version', VERSIONS)
def test_gradients_reach_the_offsets_at_once(version, operator):
    conv = make(version, operator, moved=False)
    conv(torch.randn(2, 4, 6, 5)).square().sum().backward()
    channels = conv.conv_offset.weight.grad.abs().amax((1, 2, 3))
    assert (channels > 1e-4).all()


@pytest.mark.parametrize('operator', OPERATORS)
def test_offsets_by_hand(operator):
    """All taps look one row below and half a column to the right of their place."""
    conv = make('DCN', operator, moved=False)
    conv.conv_offset.bias.data = torch.tensor([1.0, 0.5]).repeat(9)
    x = torch.randn(1, 4, 6, 5)
    padded = F.pad(x, (1, 2, 1, 2))
    between = (padded[..., :-1] + padded[..., 1:]) / 2
    torch.testing.assert_close(conv(x), F.conv2d(between[:, :, 1:], conv.weight))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('operator', OPERATORS)
@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('input_type', ['float32', 'autocast'])
def test_mixed_precision(version, operator, dtype, input_type):
    conv = make(version, operator, groups=2)
    x = torch.randn(2, 4, 6, 5)
    expected = conv(x)
    with torch.autocast('cpu', dtype=dtype):
        output = conv(x if input_type == 'float32' else x.to(dtype))
        assert output.dtype == F.conv2d(x, conv.weight).dtype == dtype
        output.square().mean().backward()  # backward passes may be within, too
    assert (output - expected).abs().max() < 0.02 * expected.abs().max()
    assert all(p.grad.dtype == torch.float32 and p.grad.any() and p.grad.isfinite().all() for p in conv.parameters())


@pytest.mark.parametrize('operator', OPERATORS)
def test_samples_are_taken_in_float32(operator):
    """Under autocast only the prediction of offsets and the result are rounded."""
    conv = make('DCN', operator, moved=False)
    x = torch.randn(2, 4, 6, 5)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = conv(x)
    assert torch.equal(output, conv(x).bfloat16())


@pytest.mark.parametrize('operator', OPERATORS)
def test_compilation(operator):
    """In one graph where there are no kernels of mmcv, and without complaints about them."""
    conv = make('DCNv2', operator)
    x = torch.randn(2, 4, 6, 5)
    compiled = torch.compile(conv, backend='eager', fullgraph=operator != 'mmcv')
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='Dynamo does not know')
        torch.testing.assert_close(compiled(x), conv(x))


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(version='DCNv3'), r"dcn is 'DCNv3'; it must be 'DCN', 'DCNv2' or None"),
    (dict(operator='cuda'), r"dcn_operator is 'cuda'; it must be 'auto', 'mmcv', 'torchvision' or 'torch'"),
    (dict(deform_groups=5), r'deform_groups is 5; it must divide the 12 input channels'),
    (dict(deform_groups=0), r'deform_groups is 0; it must divide the 12 input channels'),
])
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DeformableConv(12, 8, **settings)


@pytest.mark.parametrize(('device', 'cuda', 'expected'), [
    ('cpu', True, 'torch'), ('cpu', False, 'torch'), ('cuda', True, 'mmcv'), ('cuda', False, 'torchvision'),
    ('mps', False, 'torch')])
def test_what_computes_it_is_chosen_and_said_once(monkeypatch, device, cuda, expected):
    said = []
    monkeypatch.setattr(deformable_conv, 'compiled_for_cuda', lambda: cuda)
    monkeypatch.setattr(deformable_conv, 'print_log', lambda message, logger: said.append(message))
    choose_operator.cache_clear()
    assert [choose_operator(device) for _ in range(3)] == [expected] * 3
    choose_operator.cache_clear()
    assert said == [f'Deformable convolutions on {device} are computed by dcn_operator={expected!r}.']


def test_the_operator_is_what_was_asked_for(monkeypatch):
    monkeypatch.setitem(deformable_conv._OPERATORS, 'torchvision', lambda x, *_: x[:, :3] + 1)
    x = torch.randn(1, 4, 3, 3)
    assert torch.equal(make('DCN', 'torchvision')(x), x[:, :3] + 1)
    monkeypatch.setattr(deformable_conv, 'choose_operator', lambda device: 'torchvision')
    assert torch.equal(make('DCN', 'auto')(x), x[:, :3] + 1)


def test_mmcv_without_its_operators(monkeypatch):
    monkeypatch.setattr(deformable_conv, 'compiled', lambda: False)
    with pytest.raises(ImportError, match=r"dcn_operator is 'mmcv', whose operators are not compiled here"):
        DeformableConv(4, 4, operator='mmcv')
    DeformableConv(4, 4)
