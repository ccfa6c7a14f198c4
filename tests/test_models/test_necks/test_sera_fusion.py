import pytest
import torch
from torch import nn

from mmrefseg.errors import UserError
from mmrefseg.models import SERAFusion
from mmrefseg.models.layers import TextFeatures
from mmrefseg.models.layers.coordinates import coordinate_grid
from mmrefseg.models.necks.sera_fusion import SentenceGate


def make_neck(**kwargs):
    settings = dict(in_channels=(8, 16, 8), channels=12, sentence_channels=10, num_heads=2, router_channels=6)
    neck = SERAFusion(**{**settings, **kwargs})
    for module in neck.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    for parameter in neck.mixtures.parameters():
        nn.init.normal_(parameter, std=0.2)  # the experts start as the identity
    return neck.eval()


def make_maps():
    return tuple(torch.randn(2, channels, 4, 5) for channels in (8, 16, 8))


def make_sentence():
    return TextFeatures(torch.randn(2, 3, 7), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 10))


def conv_bn_relu(layer, x):
    conv, norm = layer.conv, layer.bn
    x = nn.functional.conv2d(x, conv.weight, padding=conv.weight.shape[-1] // 2)
    mean, var, weight, bias = (
        y.view(1, -1, 1, 1) for y in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return ((x - mean) / (var + norm.eps).sqrt() * weight + bias).clamp(min=0)


def plain(neck, maps, text):
    """Published steps behind the experts: project, gate, concatenate, reduce, refine with a residual."""
    gated = []
    for i, x in enumerate(maps):
        x = conv_bn_relu(neck.project[i], x)
        if text is not None:
            sentence = neck.project_sentence(text.sentence)
            gate = neck.gates[i].out(neck.gates[i].value(sentence))
            x = x * gate.view(2, 12, 1, 1)
        gated.append(x)
    fused = conv_bn_relu(neck.reduce, torch.cat(gated, 1))
    refined = conv_bn_relu(neck.refine[0].conv, torch.cat((fused, coordinate_grid(fused)), 1))
    return fused + conv_bn_relu(neck.refine[1], refined)


@pytest.mark.parametrize('with_text', [True, False])
@pytest.mark.parametrize('settings', [
    dict(experts=()), dict(top_k=1), dict(top_k=2), dict(top_k=4), {}, dict(experts=('shape', 'spatial'))])
def test_against_plain_formula(settings, with_text):
    neck, maps, text = make_neck(**settings), make_maps(), make_sentence() if with_text else None
    enriched = maps
    if neck.mixtures:
        enriched = [mixture(x)[0] for mixture, x in zip(neck.mixtures, maps, strict=True)]
    output, = neck(maps, text)
    assert output.shape == (2, 12, 4, 5)
    torch.testing.assert_close(output, plain(neck, enriched, text), atol=1e-5, rtol=1e-5)
    if neck.mixtures:
        assert not torch.allclose(output, plain(neck, maps, text))


def test_the_gate_is_attention_to_one_key():
    gate, attention = SentenceGate(8), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight[16:] = gate.value.weight
        attention.in_proj_bias[16:] = gate.value.bias
    attention.out_proj.load_state_dict(gate.out.state_dict())
    x, sentence = torch.randn(2, 8, 3, 4), torch.randn(2, 8)
    attended = attention(x.flatten(2).mT, sentence[:, None], sentence[:, None])[0]
    torch.testing.assert_close(gate(x, sentence), x * attended.mT.view_as(x))


def test_routers_are_each_maps_own():
    neck, maps = make_neck(top_k=2), make_maps()
    _, routing = neck.forward_with_routing(maps, make_sentence())
    assert [info.name for info in routing] == ['fusion.0', 'fusion.1', 'fusion.2']
    assert {info.experts for info in routing} == {('spatial', 'contextual', 'boundary', 'shape')}
    for mixture, x, info in zip(neck.mixtures, maps, routing, strict=True):
        torch.testing.assert_close(info.logits, mixture.router.score(x.mean((2, 3))))
        assert info.chosen.sum(1).tolist() == [2, 2]
    parameters = [id(p) for mixture in neck.mixtures for p in mixture.parameters()]
    assert len(parameters) == len(set(parameters))


def test_without_experts():
    neck = make_neck(experts=())
    assert neck.forward_with_routing(make_maps(), make_sentence())[1] == ()
    assert not any('mixture' in name for name, _ in neck.named_parameters())


def test_noise_comes_from_the_config():
    maps = make_maps()
    for noise, equal in ((0.0, True), (1.0, False)):
        mixture = make_neck(noise_std=noise).train().mixtures[0]
        first, second = (mixture(maps[0])[1].weights for _ in range(2))
        assert torch.equal(first, second) is equal


@pytest.mark.parametrize('experts', [('boundary', ), ['shape', 'contextual'], ('contextual', 'boundary', 'shape')])
def test_some_of_the_experts(experts):
    """They are there and do what they do among the four; the others are not built."""
    neck, maps = make_neck(experts=experts), make_maps()
    whole = make_neck()
    for mixture, x in zip(neck.mixtures, maps, strict=True):
        assert list(mixture.experts) == list(experts)
        assert mixture.router.experts == tuple(experts)
        assert mixture.router.top_k == len(experts)
        full = whole.mixtures[len(x[0]) == 16].experts
        for name, expert in mixture.experts.items():
            assert expert.state_dict().keys() == full[name].state_dict().keys()
            full[name].load_state_dict(expert.state_dict())
            torch.testing.assert_close(expert(x), full[name](x))
    assert neck(maps, make_sentence())[0].shape == (2, 12, 4, 5)


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(top_k=5), r"top_k of router 'fusion\.0' is 5; .* between 1 .* experts, 4 \(spatial, contextual, boundary, "),
    (dict(top_k=0), r"'fusion\.0' is 0; .* between 1 "),
    (dict(top_k=3, experts=('shape', 'boundary')), r"'fusion\.0' is 3; .* between 1 .* experts, 2 \(shape, boundary\)"),
    (dict(top_k=1, experts=()), 'top_k of SERAFusion is 1, but it has no experts; it must be None'),
    (dict(experts=('shape', 'edge')),
     r"experts of SERAFusion is \('shape', 'edge'\); .* some of 'spatial', 'contextual', 'boundary', 'shape'"),
    (dict(experts=('shape', 'shape')), 'each at most once'),
    (dict(num_heads=5), 'num_heads of SERAFusion is 5; it must be a whole number that divides the '),
    (dict(noise_std=-1), r"noise_std of router 'fusion\.0' is -1"),
    (dict(in_channels=96), 'in_channels of SERAFusion is 96; it must be a list with a whole number from 1 each'),
    (dict(experts='shape'), "experts of SERAFusion is 'shape'; it must be a list"),
])
def test_impossible_settings(settings, message):
    with pytest.raises(UserError, match=message):
        make_neck(**settings)


def test_wrong_number_of_maps():
    with pytest.raises(ValueError, match='gives 2 maps, but in_channels of SERAFusion has 3 widths'):
        make_neck()(make_maps()[:2], make_sentence())


@pytest.mark.parametrize(('resize_to', 'size'), [(0, (8, 12)), (1, (4, 6)), (-1, (2, 3))])
@pytest.mark.parametrize('settings', [dict(experts=()), dict(top_k=2)])
def test_maps_of_different_strides(resize_to, size, settings):
    """One after the other: smooth, take every n-th pixel; or enlarge bilinearly."""
    neck = make_neck(resize_to=resize_to, **settings)
    maps = tuple(torch.randn(2, c, 8 // s, 12 // s) for c, s in ((8, 1), (16, 2), (8, 4)))
    resized = tuple(
        nn.functional.interpolate(x, size, mode='bilinear', antialias=x.shape[-1] > size[1]) for x in maps)
    text = make_sentence()
    output, = neck(maps, text)
    assert output.shape == (2, 12, *size)
    torch.testing.assert_close(output, neck(resized, text)[0])


def test_shrunken_maps_keep_their_mean():
    """A single bright pixel must not vanish between those that are looked at."""
    neck, maps = make_neck(experts=(), resize_to=1), list(make_maps())
    maps[0] = torch.zeros(2, 8, 16, 20)
    maps[0][:, :, 8, 8] = 1
    with torch.autocast('cpu', torch.bfloat16):
        bright = neck(tuple(maps))[0]
        assert not torch.equal(bright, neck((torch.zeros_like(maps[0]), *maps[1:]))[0])
        assert neck(tuple(x.bfloat16() for x in maps))[0].isfinite().all()


def test_different_strides_unasked():
    maps = make_maps()
    with pytest.raises(ValueError, match=r'the maps are 4×5, 2×5, 4×5.*set resize_to'):
        make_neck()((maps[0], maps[1][:, :, ::2], maps[2]))
    with pytest.raises(ValueError, match='resize_to is 3; it must be the index of one of the 3 maps'):
        make_neck(resize_to=3)


def test_starts_without_the_experts_and_all_of_them_train_from_the_second_step():
    neck = SERAFusion((8, 16, 8), 12, sentence_channels=10, num_heads=2, noise_std=0.0)
    maps, text = make_maps(), make_sentence()
    for mixture, x in zip(neck.mixtures, maps, strict=True):
        torch.testing.assert_close(mixture(x)[0], x)
    optimizer = torch.optim.SGD(neck.parameters(), lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        neck(maps, text)[0].square().mean().backward()
        optimizer.step()
    assert not [name for name, p in neck.mixtures.named_parameters() if p.grad.abs().max() < 1e-7]


def test_routers_that_see_the_sentence():
    """Other sentences, other weights; alone, the map decides as it did; shared images come to the same."""
    neck, maps, text = make_neck(route_by_sentence=True), make_maps(), make_sentence()
    other = text._replace(sentence=torch.randn(2, 10))
    found, routing = neck.forward_with_routing(maps, text)
    for info, changed, alone, mixture, x in zip(routing, neck.forward_with_routing(maps, other)[1],
                                                neck.forward_with_routing(maps)[1], neck.mixtures, maps, strict=True):
        assert not torch.allclose(info.weights, changed.weights)
        router = mixture.router
        pooled = router.score(x.mean((2, 3)))
        torch.testing.assert_close(alone.logits, pooled)
        torch.testing.assert_close(info.logits, pooled + text.sentence @ router.score_sentence.weight.T)
    torch.testing.assert_close(neck.forward_text(neck.forward_image(maps), text), found)


def test_the_published_routers_see_no_sentence():
    neck, maps = make_neck(), make_maps()
    first, second = (neck.forward_with_routing(maps, make_sentence())[1] for _ in range(2))
    assert all(torch.equal(a.weights, b.weights) for a, b in zip(first, second, strict=True))
    assert not any('score_sentence' in name for name in neck.state_dict())


def test_routers_cannot_see_a_sentence_that_the_neck_does_not():
    with pytest.raises(UserError, match='route_by_sentence of SERAFusion is True; it must be False where sentence'):
        make_neck(route_by_sentence=True, sentence_channels=None)
