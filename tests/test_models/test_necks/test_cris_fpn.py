import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrefseg.errors import InputTypeError
from mmrefseg.models import CRISFPN

IN_CHANNELS, CHANNELS = (6, 10, 7), (4, 8, 16)


def make_neck():
    neck = CRISFPN(IN_CHANNELS, CHANNELS, sentence_channels=12).eval()
    for name, value in neck.state_dict().items():
        if value.is_floating_point() and value.ndim < 2:  # no normalisation is the identity
            nn.init.normal_(value, mean=float(name.endswith(('running_var', 'weight'))), std=0.1)
    return neck


def make_maps(height=3, width=2):
    return tuple(torch.randn(2, c, height * s, width * s) for c, s in zip(IN_CHANNELS, (4, 2, 1), strict=True))


def conv(module, x):
    """Convolution, statistics, scale and ReLU one after the other."""
    x = F.conv2d(x, module.conv.weight, padding=module.conv.kernel_size[0] // 2)
    return normed(module.bn, x)


def normed(bn, x):
    shape = (1, -1) + (1, ) * (x.ndim - 2)
    mean, var, weight, bias = (value.view(shape) for value in (bn.running_mean, bn.running_var, bn.weight, bn.bias))
    return ((x - mean) / (var + bn.eps).sqrt() * weight + bias).clamp(min=0)


def twice(x):
    """Bilinear enlargement as two matrix products, a quarter and three quarters of neighbours each."""
    for dim in (2, 3):
        x = x.movedim(dim, -1)
        before = torch.cat((x[..., :1], x[..., :-1]), dim=-1)
        behind = torch.cat((x[..., 1:], x[..., -1:]), dim=-1)
        x = torch.stack((0.25 * before + 0.75 * x, 0.75 * x + 0.25 * behind), dim=-1).flatten(-2).movedim(-1, dim)
    return x


def test_against_plain_formulas(make_text):
    neck, maps, text = make_neck(), make_maps(), make_text(12)
    v3, v4, v5 = (conv(neck.project[i], x) for i, x in enumerate(maps))
    sentence = normed(neck.project_sentence[1], text.sentence @ neck.project_sentence[0].weight.t())
    f5 = normed(neck.gated_norm, v5 * sentence[:, :, None, None])
    f4 = conv(neck.join[1], torch.cat((v4, twice(f5)), dim=1))
    halved = (v3[:, :, ::2, ::2] + v3[:, :, 1::2, ::2] + v3[:, :, ::2, 1::2] + v3[:, :, 1::2, 1::2]) / 4
    f3 = conv(neck.join[0], torch.cat((halved, f4), dim=1))
    levels = [conv(neck.smooth[0], f3), conv(neck.smooth[1], f4), twice(conv(neck.smooth[2], f5))]
    fused = conv(neck.reduce, torch.cat(levels, dim=1))
    x = torch.linspace(-1, 1, 4).expand(2, 1, 6, 4)
    y = torch.linspace(-1, 1, 6)[:, None].expand(2, 1, 6, 4)
    expected = conv(neck.refine[1], conv(neck.refine[0].conv, torch.cat((fused, x, y), dim=1)))
    found, = neck(maps, text)
    assert found.shape == (2, 8, 6, 4)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_only_the_sentence_conditions(make_text):
    neck, maps, text = make_neck(), make_maps(), make_text(12)
    found, = neck(maps, text)
    assert torch.equal(neck(maps, text._replace(tokens=text.tokens + 1))[0], found)
    assert not torch.allclose(neck(maps, text._replace(sentence=text.sentence.flip(0)))[0], found)


def test_every_parameter_has_a_gradient(make_text):
    neck = make_neck().train()
    neck(make_maps(), make_text(12))[0].square().mean().backward()
    assert not [name for name, p in neck.named_parameters() if p.grad is None or not p.grad.any()]


def test_bfloat16_and_compilation(make_text):
    neck, maps, text = make_neck(), make_maps(), make_text(12)
    exact, = neck(maps, text)
    torch.testing.assert_close(torch.compile(neck, backend='eager', fullgraph=True)(maps, text)[0], exact)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rough, = neck(maps, text)
    assert (rough.float() - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize('sizes', [((12, 8), (6, 4), (3, 3)), ((12, 8), (3, 2), (3, 2)), ((13, 8), (6, 4), (3, 2)),
                                   ((6, 4), (3, 2))])
def test_sizes_that_do_not_fit(make_text, sizes):
    maps = tuple(torch.randn(2, c, *size) for c, size in zip(IN_CHANNELS, sizes, strict=False))
    named = ', '.join(f'{h}×{w}' for h, w in sizes)
    with pytest.raises(ValueError, match=f'the maps are {named}; .*half as high and wide.*multiples of 32'):
        make_neck()(maps, make_text(12))


def test_numbers_of_channels():
    with pytest.raises(InputTypeError, match=r'in_channels of CRISFPN is \(6, 10\); it must be a list of 3 items'):
        CRISFPN((6, 10), CHANNELS, 12)
    with pytest.raises(InputTypeError, match=r'^channels of CRISFPN'):
        CRISFPN(IN_CHANNELS, (8, ), 12)
