import math

import pytest
import torch
from torch import nn

from mmrefseg.models.layers.decoder import Decoder


def sine(position, channels):
    """The published table's row of one position."""
    angles = [position / 10000**(2 * i / channels) for i in range(channels // 2)]
    return [function(angle) for angle in angles for function in (math.sin, math.cos)]


def attend(layer, query, key, value, padding=None):
    """Multi-head attention a sample, head and query at a time."""
    if layer.in_proj_weight is None:
        weights = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    else:
        weights = layer.in_proj_weight.chunk(3)
    query, key, value = (
        x @ w.T + b for x, w, b in zip((query, key, value), weights, layer.in_proj_bias.chunk(3), strict=True))
    width = query.shape[2] // layer.num_heads
    output = torch.zeros_like(query)
    for b in range(len(query)):
        keep = slice(None) if padding is None else ~padding[b]
        for h in range(layer.num_heads):
            head = slice(h * width, (h + 1) * width)
            for n in range(query.shape[1]):
                scores = key[b, keep, head] @ query[b, n, head] / math.sqrt(width)
                output[b, n, head] = scores.softmax(0) @ value[b, keep, head]
    return output @ layer.out_proj.weight.T + layer.out_proj.bias


def plain(decoder, x, text):
    """The published layer, dropout off: pre-norm, attention with positions on queries and keys, post-norm, residual."""
    batch, channels, height, width = x.shape
    half = channels // 2
    grid = torch.tensor([sine(column, half) + sine(row, half) for row in range(height) for column in range(width)])
    words = text.tokens + torch.tensor([sine(i, text.tokens.shape[2]) for i in range(text.tokens.shape[1])])
    v = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
    for layer in decoder.layers:
        normed = layer.norms[0](v)
        v = v + layer.self_attention_norm(attend(layer.self_attention, normed + grid, normed + grid, normed))
        query = layer.norms[1](v) + grid
        v = v + layer.cross_attention_norm(attend(layer.cross_attention, query, words, text.tokens, ~text.mask))
        hidden = layer.ffn[3](layer.ffn[0](layer.norms[2](v)).clamp(min=0))
        v = v + layer.ffn[4](hidden)
    return decoder.norm(v).reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def make_decoder(text_channels):
    decoder = Decoder(8, text_channels, num_layers=2, num_heads=2, ffn_channels=6).eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    return decoder


@pytest.mark.parametrize('text_channels', [4, 8])  # 8 is the width of the positions: other weights inside
def test_against_plain_formula(make_text, text_channels):
    decoder = make_decoder(text_channels)
    x, text = torch.randn(2, 8, 2, 3), make_text(text_channels)
    torch.testing.assert_close(decoder(x, text), plain(decoder, x, text), atol=1e-4, rtol=1e-4)


def test_padded_words_do_not_matter(make_text):
    decoder = make_decoder(4)
    x, text = torch.randn(2, 8, 2, 3), make_text(4, (2, 5))
    output = decoder(x, text)
    changed = text._replace(tokens=text.tokens.masked_fill(~text.mask[..., None], 9.0))
    torch.testing.assert_close(decoder(x, changed), output)
    shorter = text._replace(tokens=text.tokens[:1, :2], mask=text.mask[:1, :2])
    torch.testing.assert_close(decoder(x[:1], shorter), output[:1])
    changed = text._replace(tokens=text.tokens + text.mask[..., None])
    assert not torch.allclose(decoder(x, changed), output)


def test_published_defaults():
    decoder = Decoder(16, 12)
    assert len(decoder.layers) == 3
    assert decoder.layers[0].ffn[0].out_features == 2048
    assert {m.p for m in decoder.modules() if isinstance(m, nn.Dropout)} == {0.1}
    assert decoder.layers[0].self_attention.num_heads == 8
