"""DINOv2's weights under the names that others give them."""
import re

import pytest
import torch
from torch import nn

from mmrefseg.models import PlainViT
from mmrefseg.models.backbones.dinov2_weights import to_timm_names

SIZES = dict(embed_dim=24, depth=3, num_heads=2, img_size=56, out_indices=(0, 2))


def make(num_registers=4, gated=False, **kwargs):
    torch.manual_seed(0)
    name = f'vit_{"giant" if gated else "base"}_patch14_{"reg4_" if num_registers else ""}dinov2'
    backbone = PlainViT(name, **SIZES, **kwargs)
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


# Official names, those in files of transformers, and those in its memory since version 5

LAYOUT = {
    'cls_token': ('cls_token', *['embeddings.cls_token'] * 2),
    'pos_embed': ('pos_embed', *['embeddings.position_embeddings'] * 2),
    'reg_token': ('register_tokens', *['embeddings.register_tokens'] * 2),
    'patch_embed.proj': ('patch_embed.proj', *['embeddings.patch_embeddings.projection'] * 2),
    'norm': ('norm', *['layernorm'] * 2),
}
BLOCK = {
    'norm1': ('norm1', ) * 3,
    'norm2': ('norm2', ) * 3,
    'attn.qkv': ('attn.qkv', [f'attention.attention.{name}' for name in ('query', 'key', 'value')],
                 [f'attention.{name}_proj' for name in 'qkv']),
    'attn.proj': ('attn.proj', 'attention.output.dense', 'attention.o_proj'),
    'ls1.gamma': ('ls1.gamma', *['layer_scale1.lambda1'] * 2),
    'ls2.gamma': ('ls2.gamma', *['layer_scale2.lambda1'] * 2),
    'mlp.fc1': ('mlp.fc1', ) * 3,
    'mlp.fc2': ('mlp.fc2', ) * 3,
}
GATED_BLOCK = BLOCK | {
    'mlp.fc1': ('mlp.w12', 'mlp.weights_in', ['mlp.gate_proj', 'mlp.up_proj']),
    'mlp.fc2': ('mlp.w3', 'mlp.weights_out', 'mlp.down_proj'),
}
CONVENTIONS = ('official', 'transformers 4', 'transformers 5')


def rename(backbone, convention):
    """A backbone's weights under the names of a convention; layers that are several there are cut into them."""
    column, state = CONVENTIONS.index(convention), dict(backbone.tower.state_dict())
    if 'reg_token' in state:  # elsewhere the class token has a position of its own
        position = torch.randn(1, 1, 24)
        state['cls_token'], state['pos_embed'] = state['cls_token'] - position, torch.cat(
            (position, state['pos_embed']), dim=1)
    renamed = {('mask_token', *['embeddings.mask_token'] * 2)[column]: torch.zeros(1, 24)}
    for name, value in state.items():
        prefix, table = '', LAYOUT
        if block := re.match(r'blocks\.(\d+)\.', name):
            name, prefix = name[block.end():], f'{("blocks", *["encoder.layer"] * 2)[column]}.{block[1]}.'
            table = BLOCK if state['blocks.0.mlp.fc1.weight'].shape[0] == 96 else GATED_BLOCK
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
    state = rename(source, convention)
    backbone = load(tmp_path / 'weights.pth', state, num_registers=num_registers, gated=gated)
    for name, value in source.state_dict().items():
        found = backbone.state_dict()[name]
        if name == 'tower.cls_token' and num_registers:
            torch.testing.assert_close(found, value)
        else:
            assert torch.equal(found, value), name


def test_names_of_transformers():
    """Those in its hub's files, spelled out; the first and last rows of a joined layer come from its parts."""
    state = rename(make(gated=True), 'transformers 4')
    assert {'embeddings.patch_embeddings.projection.weight', 'encoder.layer.2.attention.attention.key.bias',
            'encoder.layer.0.layer_scale1.lambda1', 'encoder.layer.1.mlp.weights_in.weight', 'layernorm.bias',
            'embeddings.register_tokens'} <= state.keys()
    qkv = to_timm_names(state)['blocks.1.attn.qkv.weight']
    for i, part in enumerate(('query', 'key', 'value')):
        assert torch.equal(qkv[24 * i:24 * (i + 1)], state[f'encoder.layer.1.attention.attention.{part}.weight'])


def test_the_class_token_of_register_models_holds_its_position():
    state = rename(make(), 'official')
    names = to_timm_names(state)
    assert torch.equal(names['cls_token'], state['cls_token'] + state['pos_embed'][:, :1])
    assert torch.equal(names['pos_embed'], state['pos_embed'][:, 1:])
    plain = rename(make(num_registers=0), 'official')
    assert torch.equal(to_timm_names(plain)['pos_embed'], plain['pos_embed'])


def test_the_gate_is_the_first_half():
    state = rename(make(gated=True), 'transformers 5')
    x = torch.randn(5, 24)
    gate, up, down = ((state[f'encoder.layer.0.mlp.{name}_proj.weight'], state[f'encoder.layer.0.mlp.{name}_proj.bias'])
                      for name in ('gate', 'up', 'down'))
    gated = x @ gate[0].T + gate[1]
    hidden = gated * gated.sigmoid() * (x @ up[0].T + up[1])
    mlp = make(gated=True).tower.blocks[0].mlp
    mlp.load_state_dict({name.removeprefix('blocks.0.mlp.'): value for name, value in to_timm_names(state).items()
                         if name.startswith('blocks.0.mlp.')})
    torch.testing.assert_close(mlp(x), hidden @ down[0].T + down[1], atol=1e-5, rtol=1e-5)


def test_what_is_left_stays_as_it_is(tmp_path):
    state = rename(make(), 'transformers 4')
    del state['encoder.layer.1.attention.attention.key.weight']
    with pytest.raises(ValueError, match=r'missing there: blocks\.1\.attn\.qkv\.weight'):
        load(tmp_path / 'weights.pth', state)
    with pytest.raises(ValueError, match=r'unknown to the model: decoder\.weight'):
        load(tmp_path / 'weights.pth', {**rename(make(), 'official'), 'decoder.weight': torch.ones(2)})
    with pytest.raises(ValueError, match='holds no state dict'):
        load(tmp_path / 'weights.pth', dict(model=make().state_dict()))


@pytest.mark.parametrize(('damage', 'said'), [
    (dict(cls_token=torch.zeros(24)), r'cls_token \(24,\) instead of \(1, 1, 24\)'),
    (dict(pos_embed=torch.zeros(1, 12, 24)), r'pos_embed \(1, 11, 24\) instead of \(1, 16, 24\)'),
    (dict(cls_token=torch.zeros(1, 1, 7)), r'cls_token \(1, 1, 7\) instead of \(1, 1, 24\)'),
    (dict(pos_embed=torch.zeros(24)), r'pos_embed \(24,\) instead of \(1, 16, 24\)'),
    (dict(pos_embed=3), 'holds no state dict'),
    ({7: torch.zeros(2)}, 'an entry named 7; expected were strings'),
])
def test_damaged_tokens(tmp_path, damage, said):
    with pytest.raises(ValueError, match=said):
        load(tmp_path / 'weights.pth', {**rename(make(), 'official'), **damage})


@pytest.mark.parametrize('key', [torch.zeros(24, 7), torch.zeros(()), 'key'])
def test_damaged_parts_of_a_joined_layer(tmp_path, key):
    with pytest.raises(ValueError, match=r'unknown to the model: blocks\.1\.attn\.k\.weight|holds no state dict'):
        load(tmp_path / 'weights.pth', {**rename(make(), 'transformers 4'),
                                        'encoder.layer.1.attention.attention.key.weight': key})
