import math

import pytest
import torch
from torch import nn

from mmrefseg.errors import UserError
from mmrefseg.models.layers import DETRISAdapter, SERAAdapter, TextAdapter
from mmrefseg.models.layers.adapters import WordAttention
from mmrefseg.models.layers.experts import AdapterBoundaryExpert, AdapterSpatialExpert


def make_adapter(kind=SERAAdapter, **kwargs):
    adapter = kind(24, **{**dict(text_channels=12, channels=16, num_heads=2), **kwargs}).eval()
    nn.init.normal_(adapter.up.weight)
    return adapter


def depthwise_then_pointwise(conv, grid):
    """A padded 3×3 window a pixel and channel, then a mixture of channels, by loops."""
    depthwise, pointwise = conv
    padded = nn.functional.pad(grid, (1, 1, 1, 1))
    middle = torch.empty_like(grid)
    for row in range(grid.shape[2]):
        for column in range(grid.shape[3]):
            window = padded[:, :, row:row + 3, column:column + 3]
            middle[:, :, row, column] = (window * depthwise.weight[:, 0]).sum((2, 3)) + depthwise.bias
    return torch.einsum('oc,bchw->bohw', pointwise.weight[:, :, 0, 0], middle) + pointwise.bias.view(1, -1, 1, 1)


def test_boundary_expert_against_loops():
    grid = torch.randn(2, 4, 3, 5)
    expert = AdapterBoundaryExpert(4)
    torch.testing.assert_close(expert(grid), grid + 0.1 * depthwise_then_pointwise(expert.conv, grid))


def test_spatial_expert_against_loops():
    grid = torch.randn(2, 4, 3, 5)
    expert = AdapterSpatialExpert(4).eval()
    nn.init.normal_(expert.norm.running_mean)
    nn.init.normal_(expert.norm.weight)
    normed = depthwise_then_pointwise(expert.conv, grid) - expert.norm.running_mean.view(1, -1, 1, 1)
    normed = normed / math.sqrt(1 + expert.norm.eps) * expert.norm.weight.view(1, -1, 1, 1)
    torch.testing.assert_close(expert(grid), grid + 0.3 * normed.clamp(min=0))


def test_sera_adapter_step_by_step(make_text):
    adapter, text = make_adapter(), make_text(12)
    x = torch.randn(2, 5 + 6, 24)
    z = adapter.down(x).clamp(min=0)
    grid = z[:, 5:].reshape(2, 2, 3, 16).permute(0, 3, 1, 2)
    enriched = grid + adapter.branches(grid)
    weights = adapter.mixture.router.score(enriched.mean((2, 3))).softmax(1)
    spatial, boundary = (adapter.mixture.experts[name](enriched) for name in ('spatial', 'boundary'))
    routed = weights[:, 0].view(2, 1, 1, 1) * spatial + weights[:, 1].view(2, 1, 1, 1) * boundary
    attended = adapter.attention(routed.permute(0, 2, 3, 1).reshape(2, 6, 16), text)
    expected = 0.2 * adapter.up(torch.cat((2 * z[:, :5], z[:, 5:] + attended), 1))
    output, routing = adapter(x, text, (2, 3))
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(routing.weights, weights)
    assert routing.experts == ('spatial', 'boundary')
    assert routing.chosen.all()


@pytest.mark.parametrize('name', ['spatial', 'boundary'])
def test_an_expert_off_leaves_the_other_alone(make_text, name):
    whole, single, text = make_adapter(), make_adapter(experts=(name, )), make_text(12)
    state = {key: value for key, value in whole.state_dict().items() if key in single.state_dict()}
    single.load_state_dict({**state, **single.mixture.router.state_dict(prefix='mixture.router.')})
    nn.init.zeros_(whole.mixture.router.score.weight)
    whole.mixture.router.score.bias.data = torch.tensor([0.0, 0.0])
    whole.mixture.router.score.bias.data[whole.mixture.router.experts.index(name)] = 100
    x = torch.randn(2, 5 + 6, 24)
    output, routing = single(x, text, (2, 3))
    torch.testing.assert_close(output, whole(x, text, (2, 3))[0])
    assert routing.experts == (name, )
    assert list(single.mixture.experts) == [name]


def test_sparse_adapter_takes_the_better_expert_of_each_sample(make_text):
    soft, sparse, text = make_adapter(), make_adapter(top_k=1), make_text(12, (2, 3, 4, 5))
    sparse.load_state_dict(soft.state_dict())
    x, seen = torch.randn(4, 5 + 6, 24), []
    sparse.mixture.register_forward_hook(lambda module, inputs, output: seen.extend((inputs[0], output[0])))
    routing = sparse(x, text, (2, 3))[1]
    better = soft(x, text, (2, 3))[1].weights.argmax(1).tolist()
    assert routing.chosen.int().argmax(1).tolist() == better
    assert len(set(better)) == 2
    for grid, mixed, i in zip(*seen, better, strict=True):
        expert = list(sparse.mixture.experts.values())[i]
        torch.testing.assert_close(mixed, expert(grid[None])[0])


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(experts=('spatial', 'shape')), r"experts of SERAAdapter is .*'spatial', 'boundary'"),
    (dict(experts=()), "router 'adapter' has no experts"),
    (dict(num_heads=3), 'num_heads of SERAAdapter is 3; .* divides the 16 channels of the attention'),
    (dict(attention_channels=9), 'num_heads of SERAAdapter is 2; .* divides the 9 channels of the attention'),
    (dict(channels=24), 'channels of SERAAdapter is 24; it must be a multiple of 16'),
    (dict(top_k=1.5), r"top_k of SERAAdapter is 1\.5"),
    (dict(top_k='2'), "top_k of SERAAdapter is '2'"),
    (dict(top_k=3), "top_k of router 'adapter' is 3; it must be a whole number between 1 and .* 2"),
])
def test_impossible_settings(settings, message):
    with pytest.raises(UserError, match=message):
        make_adapter(**settings)


def test_patches_lie_row_by_row(make_text):
    """A bright patch reaches its neighbours on the grid and no patch further away."""
    adapter, text, seen = make_adapter(), make_text(12, (5, )), []
    nn.init.zeros_(adapter.mixture.router.score.weight)  # the router's mean would reach everywhere
    adapter.attention.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = torch.zeros(1, 1 + 7 * 9, 24)
    adapter(x, text, (7, 9))
    x[0, 1 + 3 * 9 + 4] = 5
    adapter(x, text, (7, 9))
    changed = (seen[0] - seen[1]).abs().sum(2).view(7, 9).nonzero().tolist()
    # a 5×5 branch reaches two patches, the experts' 3×3 one more
    assert changed == [[row, column] for row in range(7) for column in range(1, 8)]


def test_sera_adapter_ignores_padding(make_text):
    adapter, text = make_adapter(), make_text(12, (3, 5))
    x = torch.randn(2, 5 + 6, 24)
    output, _ = adapter(x, text, (2, 3))
    changed = text._replace(tokens=text.tokens.masked_fill(~text.mask[..., None], 7.0))
    torch.testing.assert_close(adapter(x, changed, (2, 3))[0], output)
    real = text._replace(tokens=text.tokens + text.mask[..., None])
    assert not torch.allclose(adapter(x, real, (2, 3))[0], output)


def test_detris_adapter_step_by_step(make_text):
    adapter, text = make_adapter(DETRISAdapter, attention_channels=8), make_text(12)
    x = torch.randn(2, 5 + 6, 24)
    z = adapter.down(x).clamp(min=0)
    grid = z[:, 5:].reshape(2, 2, 3, 16).permute(0, 3, 1, 2)
    enriched = grid + adapter.branches(grid)
    attended = adapter.attention(enriched.permute(0, 2, 3, 1).reshape(2, 6, 16), text)
    expected = 0.2 * adapter.up(torch.cat((2 * z[:, :5], z[:, 5:] + attended), 1))
    output, routing = adapter(x, text, (2, 3))
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    assert routing is None


def test_detris_adapter_is_dense_and_attends_to_padding(make_text):
    adapter, text = make_adapter(DETRISAdapter), make_text(12, (3, 5))
    assert adapter.branches.dense
    x = torch.randn(2, 5 + 6, 24)
    output, _ = adapter(x, text, (2, 3))
    changed = text._replace(tokens=text.tokens.masked_fill(~text.mask[..., None], 7.0))
    found, _ = adapter(x, changed, (2, 3))
    assert not torch.allclose(found[0], output[0])
    torch.testing.assert_close(found[1], output[1])  # all five tokens are real


def test_attention_in_a_width_of_its_own(make_text):
    layer = WordAttention(16, 12, num_heads=2, attention_channels=6)
    assert (layer.query.out_features, layer.words.out_features, layer.attention.embed_dim) == (6, 6, 6)
    assert layer(torch.randn(2, 3, 16), make_text(12)).shape == (2, 3, 16)


@pytest.mark.parametrize('mask_padding', [True, False])
def test_word_attention_against_plain_formula(make_text, mask_padding):
    layer, text = WordAttention(8, 12, num_heads=2, mask_padding=mask_padding).eval(), make_text(12, (2, 5))
    nn.init.normal_(layer.attention.in_proj_bias)
    x = torch.randn(2, 3, 8)
    words = layer.words(text.tokens)
    weight, bias = layer.attention.in_proj_weight.chunk(3), layer.attention.in_proj_bias.chunk(3)
    query, key, value = (
        nn.functional.linear(y, w, b) for y, w, b in zip((layer.query(x), words, words), weight, bias, strict=True))
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        scores = torch.einsum('bnc,blc->bnl', query[..., head], key[..., head]) / 2
        if mask_padding:
            scores[0, :, 2:] = -1e9
        heads.append(scores.softmax(2) @ value[..., head])
    expected = layer.out(layer.attention.out_proj(torch.cat(heads, 2)))
    torch.testing.assert_close(layer(x, text), expected, atol=1e-5, rtol=1e-5)


def test_text_adapter_step_by_step():
    adapter = TextAdapter(24, channels=16).eval()
    nn.init.normal_(adapter.up.weight)
    nn.init.normal_(adapter.up.bias)
    x = torch.randn(2, 6, 24)
    z = adapter.down(x).clamp(min=0)
    words = adapter.branches(z[:, 1:].mT).mT
    expected = 0.2 * adapter.up(torch.cat((2 * z[:, :1], z[:, 1:] + words), 1))
    torch.testing.assert_close(adapter(x), expected)


def test_adapters_start_as_nothing(make_text):
    x = torch.randn(2, 11, 24)
    for kind in (DETRISAdapter, SERAAdapter):
        adapter = kind(24, text_channels=12, channels=16, num_heads=2)
        assert not adapter(x, make_text(12), (2, 3))[0].any()
    assert not TextAdapter(24, channels=16)(x).any()
    # zero outputs must not mean zero gradients
    adapter(x, make_text(12), (2, 3))[0].sum().backward()
    assert adapter.up.weight.grad.any()
