"""Names of weights, and equality with timm's models of the same weights."""
import re

import pytest
import timm
import torch
from torch import nn

from mmrefseg.models import DINOv2
from mmrefseg.models.backbones.dinov2_weights import to_own_names

SIZES = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=96)
TIMM_SIZES = dict(embed_dim=24, depth=3, num_heads=2, img_size=56)
GATED = dict(layer_cfgs=dict(ffn_type='swiglu_fused'))


def make(num_registers=4, gated=False, **kwargs):
    torch.manual_seed(0)
    backbone = DINOv2(
        SIZES, img_size=56, num_registers=num_registers, out_indices=(0, 2), **(GATED if gated else {}), **kwargs)
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.2)
    return backbone.eval()


def load(path, state, **kwargs):
    torch.save(state, path)
    backbone = make(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **kwargs)
    for parameter in backbone.parameters():
        nn.init.zeros_(parameter)
    backbone.init_weights()
    return backbone


# timm


@pytest.mark.parametrize('gated', [False, True])
@pytest.mark.parametrize('num_registers', [0, 4])
@pytest.mark.parametrize('size', [(56, 56), (42, 70)])
def test_timm(tmp_path, num_registers, gated, size):
    """timm resizes the position embedding as the official register models do, in all of its models."""
    name = f'vit_{"giant" if gated else "base"}_patch14_{"reg4_" if num_registers else ""}dinov2'
    reference = timm.create_model(name, dynamic_img_size=True, **TIMM_SIZES).eval()
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.2)
    backbone = load(tmp_path / 'timm.pth', reference.state_dict(), num_registers=num_registers, gated=gated,
                    pos_embed_offset=0, pos_embed_antialias=True)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = [reference.forward_intermediates(images, indices=[0], intermediates_only=True)[0],
                    reference.forward_intermediates(images, indices=[2], norm=True, intermediates_only=True)[0]]
        found = backbone(images)
    for one, other in zip(found, expected, strict=True):
        assert other.shape == (2, 24, size[0] // 14, size[1] // 14)
        torch.testing.assert_close(one, other, atol=1e-5 * other.abs().max().item(), rtol=0)


@pytest.mark.parametrize('registers', ['', 'reg4_'])
@pytest.mark.parametrize(('arch', 'depth'), [('small', 12), ('base', 12), ('large', 24), ('giant', 40)])
def test_timms_models_of_full_size(arch, depth, registers):
    with torch.device('meta'):
        reference = timm.create_model(f'vit_{arch}_patch14_{registers}dinov2')
        backbone = DINOv2(arch, num_registers=4 if registers else 0, out_indices=(depth - 1, ))
        state = to_own_names(reference.state_dict())
    assert {name: value.shape for name, value in state.items()} == {
        name: value.shape for name, value in backbone.state_dict().items()}


# Official names, those in files of transformers, and those in its memory since version 5

LAYOUT = {
    'cls_token': ('cls_token', *['embeddings.cls_token'] * 2),
    'pos_embed': ('pos_embed', *['embeddings.position_embeddings'] * 2),
    'register_tokens': ('register_tokens', *['embeddings.register_tokens'] * 2),
    'patch_embed.projection': ('patch_embed.proj', *['embeddings.patch_embeddings.projection'] * 2),
    'ln1': ('norm', *['layernorm'] * 2),
}
BLOCK = {
    'ln1': ('norm1', ) * 3,
    'ln2': ('norm2', ) * 3,
    'attn.qkv': ('attn.qkv', [f'attention.attention.{name}' for name in ('query', 'key', 'value')],
                 [f'attention.{name}_proj' for name in 'qkv']),
    'attn.proj': ('attn.proj', 'attention.output.dense', 'attention.o_proj'),
    'attn.gamma1.weight': ('ls1.gamma', *['layer_scale1.lambda1'] * 2),
    'ffn.gamma2.weight': ('ls2.gamma', *['layer_scale2.lambda1'] * 2),
    'ffn.layers.0.0': ('mlp.fc1', ) * 3,
    'ffn.layers.1': ('mlp.fc2', ) * 3,
    'ffn.w12': ('mlp.w12', 'mlp.weights_in', ['mlp.gate_proj', 'mlp.up_proj']),
    'ffn.w3': ('mlp.w3', 'mlp.weights_out', 'mlp.down_proj'),
}
CONVENTIONS = ('official', 'transformers 4', 'transformers 5')


def rename(state, convention):
    """Our weights under the names of a convention; layers that are several there are cut into them."""
    column = CONVENTIONS.index(convention)
    renamed = {('mask_token', *['embeddings.mask_token'] * 2)[column]: torch.zeros(1, 24)}
    for name, value in state.items():
        prefix, table = '', LAYOUT
        if block := re.match(r'layers\.(\d+)\.', name):
            name, prefix, table = name[block.end():], f'{("blocks", *["encoder.layer"] * 2)[column]}.{block[1]}.', BLOCK
        layer, kind = (name, '') if name in table else (name.rpartition('.')[0], f'.{name.rpartition(".")[2]}')
        theirs = table[layer][column]
        theirs = [theirs] if isinstance(theirs, str) else theirs
        renamed |= {f'{prefix}{other}{kind}': part.clone()
                    for other, part in zip(theirs, value.chunk(len(theirs)), strict=True)}
    return renamed


@pytest.mark.parametrize('convention', CONVENTIONS)
@pytest.mark.parametrize('gated', [False, True])
@pytest.mark.parametrize('num_registers', [0, 4])
def test_other_names(tmp_path, convention, gated, num_registers):
    source = make(num_registers, gated)
    state = rename(source.state_dict(), convention)
    assert not state.keys() & source.state_dict().keys() - {'cls_token', 'pos_embed', 'register_tokens'}
    backbone = load(tmp_path / 'weights.pth', state, num_registers=num_registers, gated=gated)
    for name, value in source.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], value), name


def test_names_of_transformers():
    """Those in its hub's files, spelled out; the first and last rows of a joined layer come from its parts."""
    state = rename(make(gated=True).state_dict(), 'transformers 4')
    assert {'embeddings.patch_embeddings.projection.weight', 'encoder.layer.2.attention.attention.key.bias',
            'encoder.layer.0.layer_scale1.lambda1', 'encoder.layer.1.mlp.weights_in.weight', 'layernorm.bias',
            'embeddings.register_tokens'} <= state.keys()
    ours = to_own_names(state)
    qkv = ours['layers.1.attn.qkv.weight']
    for i, part in enumerate(('query', 'key', 'value')):
        assert torch.equal(qkv[24 * i:24 * (i + 1)], state[f'encoder.layer.1.attention.attention.{part}.weight'])


def test_the_gate_is_the_first_half():
    state = rename(make(gated=True).state_dict(), 'transformers 5')
    x = torch.randn(5, 24)
    gate, up, down = ((state[f'encoder.layer.0.mlp.{name}_proj.weight'], state[f'encoder.layer.0.mlp.{name}_proj.bias'])
                      for name in ('gate', 'up', 'down'))
    gated = x @ gate[0].T + gate[1]
    hidden = gated * gated.sigmoid() * (x @ up[0].T + up[1])
    assert hidden.shape == (5, 64)  # two thirds of 96
    ffn = make(gated=True).layers[0].ffn
    ffn.load_state_dict({name.removeprefix('layers.0.ffn.'): value for name, value in to_own_names(state).items()
                         if name.startswith('layers.0.ffn.')})
    expected = x + (hidden @ down[0].T + down[1]) * state['encoder.layer.0.layer_scale2.lambda1']
    torch.testing.assert_close(ffn(x), expected, atol=1e-5, rtol=1e-5)


def test_what_is_left_stays_as_it_is(tmp_path):
    state = rename(make().state_dict(), 'transformers 4')
    del state['encoder.layer.1.attention.attention.key.weight']
    with pytest.raises(ValueError, match=r'missing there: layers\.1\.attn\.qkv\.weight'):
        load(tmp_path / 'weights.pth', state)
    with pytest.raises(ValueError, match=r'unknown to the model: head\.weight'):
        load(tmp_path / 'weights.pth', {**rename(make().state_dict(), 'official'), 'head.weight': torch.ones(2)})
    with pytest.raises(ValueError, match='holds no state dict'):
        load(tmp_path / 'weights.pth', dict(model=make().state_dict()))
