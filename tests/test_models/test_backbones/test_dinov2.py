import copy
import re
from collections import Counter

import numpy as np
import pytest
import torch
from helpers.golden import golden_images, golden_weights, read_golden
from mmpretrain.models import VisionTransformer
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmrefseg.models import DINOv2

TINY = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=48)
ADAPTER = dict(type='SERAAdapter', indices=(0, 2), text_channels=12, channels=16, num_heads=2)


def make_tiny(**kwargs):
    backbone = DINOv2(**{'arch': TINY, 'img_size': 28, 'out_indices': (0, 2), **kwargs})
    for name, parameter in backbone.named_parameters():
        if 'gamma' in name or not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return backbone.eval()


def to_official(state):
    """Ours → the official names, written the other way round than in the package."""
    rules = [('patch_embed.projection', 'patch_embed.proj'), ('layers.(?=[0-9]+.(ln|attn|ffn))', 'blocks.'),
             (r'\.ln([12])\.', r'.norm\1.'), ('^ln1', 'norm'), ('attn.gamma1.weight', 'ls1.gamma'),
             ('ffn.gamma2.weight', 'ls2.gamma'), ('ffn.layers.0.0', 'mlp.fc1'), ('ffn.layers.1', 'mlp.fc2'),
             ('ffn.w', 'mlp.w')]
    official = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        official[name] = value
    return {**official, 'mask_token': torch.zeros(1, 24)}


@pytest.mark.parametrize(('name', 'arch', 'kwargs'), [
    ('dinov2_vitb', 'base', dict(num_registers=0)),
    ('dinov2_vitb_reg', 'base', dict(num_registers=4, pos_embed_offset=0, pos_embed_antialias=True)),
    ('dinov2_vits_reg', 'small', dict(num_registers=4, pos_embed_offset=0, pos_embed_antialias=True)),
])
def test_golden(golden_folder, tmp_path, name, arch, kwargs):
    golden = read_golden(golden_folder / f'{name}.npz')
    path = tmp_path / f'{name}14_pretrain.pth'
    torch.save(golden_weights(golden.meta['state_dict'], golden.meta['seed']), path)
    backbone = DINOv2(
        arch, out_indices=(3, 7, 11), init_cfg=dict(type='Pretrained', checkpoint=str(path)), **kwargs)
    backbone.init_weights()
    path.unlink()  # 350 MB
    backbone.eval()
    with torch.no_grad():
        maps = backbone(golden_images(1, *golden.meta['size'], seed=golden.meta['seed']))
    assert [x.shape[2:] for x in maps] == [(32, 34)] * 3
    found = dict(l3=maps[0][:, :4], l7=maps[1][:, :4], patch=maps[2].flatten(2).transpose(1, 2)[..., :4])
    for key, expected in golden.arrays.items():
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=key)


def test_without_registers_it_is_mmpretrains_transformer():
    backbone = make_tiny(num_registers=0)
    reference = VisionTransformer(
        TINY, img_size=28, patch_size=14, out_indices=[0, 2], out_type='featmap', layer_scale_init_value=1.0)
    reference.eval()
    reference.load_state_dict(backbone.state_dict())
    x = torch.randn(2, 3, 28, 28)
    for found, expected in zip(backbone(x), reference(x), strict=True):
        assert found.shape == (2, 24, 2, 2)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('offset', [0.1, 0.0])
def test_position_embedding_of_the_trained_size_is_used_as_it_is(offset):
    backbone = make_tiny(pos_embed_offset=offset, num_registers=0)
    x = torch.randn(1, 3, 28, 28)
    tokens = backbone.patch_embed(x)[0] + backbone.pos_embed[:, 1:]
    seen = []
    backbone.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone.layers[0].ln1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone(x)
    torch.testing.assert_close(seen[0][:, 1:], tokens)


def test_registers_take_part_but_leave_no_trace_in_the_maps():
    backbone = make_tiny(num_registers=3)
    x = torch.randn(1, 3, 28, 42)
    before = backbone(x)
    assert [m.shape for m in before] == [(1, 24, 2, 3)] * 2
    with torch.no_grad():
        backbone.register_tokens[0, 2] += torch.randn(24)
    assert not torch.allclose(backbone(x)[1], before[1])


def test_maps_but_the_last_are_unnormed():
    backbone = make_tiny(out_indices=(0, 1, 2))
    with torch.no_grad():
        backbone.ln1.weight.zero_()
        backbone.ln1.bias.fill_(3)
    first, second, last = backbone(torch.randn(1, 3, 28, 28))
    assert (last == 3).all()
    assert not (first == 3).any()
    assert not (second == 3).any()


def test_swiglu_against_plain_formula():
    backbone = make_tiny(layer_cfgs=dict(ffn_type='swiglu_fused'))
    ffn = backbone.layers[0].ffn
    x = torch.randn(2, 5, 24)
    gate, value = ffn.w12(x).chunk(2, dim=-1)
    expected = x + ffn.w3(gate * gate.sigmoid() * value) * ffn.gamma2.weight
    torch.testing.assert_close(ffn(x, identity=x), expected)


def test_adapters_start_near_identity(make_text):
    plain, adapted = make_tiny(), make_tiny(adapter=ADAPTER)
    missing, unexpected = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith('adapters.') for name in missing)
    fresh = DINOv2(TINY, img_size=28, out_indices=(0, 2), adapter=ADAPTER)
    adapted.adapters.load_state_dict(fresh.adapters.state_dict())
    x = torch.randn(2, 3, 28, 42)
    for found, expected in zip(adapted(x, make_text(12)), plain(x), strict=True):
        assert torch.equal(found, expected)


def test_adapters_and_layer_scale_by_hand(make_text):
    """The residual of an adapted block is layer_scale(MLP(x) + adapter(x))."""
    backbone, text = make_tiny(adapter=dict(ADAPTER, indices=(0, ))), make_text(12)
    x = torch.randn(2, 3, 28, 42)
    block, adapter, seen = backbone.layers[0], backbone.adapters['0'], []
    block.ln1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone.layers[1].ln1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone(x, text)
    tokens = seen[0] + block.attn(block.ln1(seen[0]))
    normed = block.ln2(tokens)
    mlp = block.ffn.layers(normed)
    expected = tokens + block.ffn.gamma2.weight * (mlp + adapter(normed, text, (2, 3))[0])
    torch.testing.assert_close(seen[1], expected)
    assert adapter(normed, text, (2, 3))[0].any()


def test_routing(make_text):
    backbone = make_tiny(adapter=ADAPTER)
    maps, routing = backbone.forward_with_routing(torch.randn(2, 3, 28, 28), make_text(12))
    assert [info.name for info in routing] == ['adapter.0', 'adapter.2']
    assert [info.weights.shape for info in routing] == [(2, 2)] * 2
    assert len(maps) == 2
    assert backbone.takes_text
    plain = make_tiny()
    assert not plain.takes_text
    assert plain.forward_with_routing(torch.randn(1, 3, 28, 28))[1] == ()


def test_adapters_without_a_router(make_text):
    backbone = make_tiny(adapter=dict(ADAPTER, type='DETRISAdapter'))
    assert backbone.takes_text
    maps, routing = backbone.forward_with_routing(torch.randn(2, 3, 28, 28), make_text(12))
    assert [x.shape for x in maps] == [(2, 24, 2, 2)] * 2
    assert routing == ()


def test_tuning():
    backbone = make_tiny(adapter=ADAPTER, tuning='norm_bias')
    for name, parameter in backbone.named_parameters():
        part = name.split('.')[-2] if '.' in name else name
        expected = name.startswith('adapters.') or name.endswith('bias') or part in ('ln1', 'ln2')
        assert parameter.requires_grad == expected, name
    assert backbone.new_parts() == (backbone.adapters, )


def save_official(tmp_path, backbone, **changes):
    path = tmp_path / 'official.pth'
    torch.save({**to_official(backbone.state_dict()), **changes}, path)
    return dict(type='Pretrained', checkpoint=str(path))


def test_loading_leaves_adapters_alone(tmp_path):
    source = make_tiny()
    backbone = make_tiny(adapter=ADAPTER, init_cfg=save_official(tmp_path, source))
    adapters = {name: value.clone() for name, value in backbone.adapters.state_dict().items()}
    backbone.init_weights()
    state = backbone.state_dict()
    assert all(torch.equal(state[name], value) for name, value in source.state_dict().items())
    assert all(torch.equal(value, adapters[name]) for name, value in backbone.adapters.state_dict().items())


def test_weights_of_another_architecture(tmp_path):
    wider = make_tiny(arch=dict(TINY, feedforward_channels=72))
    with pytest.raises(ValueError, match=r'layers\.0\.ffn\.layers\.0\.0\.bias \(72,\) instead of \(48,\)'):
        make_tiny(init_cfg=save_official(tmp_path, wider)).init_weights()
    with pytest.raises(ValueError, match='missing there: register_tokens'):
        make_tiny(init_cfg=save_official(tmp_path, make_tiny(num_registers=0))).init_weights()
    deeper = make_tiny(arch=dict(TINY, num_layers=4))
    with pytest.raises(ValueError, match=r'unknown to the model: layers\.3\.'):
        make_tiny(init_cfg=save_official(tmp_path, deeper)).init_weights()


def test_position_embedding_of_another_size(tmp_path):
    larger = make_tiny(img_size=56)
    with pytest.raises(ValueError, match=r'pos_embed \(1, 17, 24\) instead of \(1, 5, 24\)'):
        make_tiny(init_cfg=save_official(tmp_path, larger)).init_weights()


def test_missing_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        make_tiny(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'nowhere.pth'))).init_weights()


def test_random_initialisation():
    backbone = DINOv2(TINY, img_size=28, out_indices=(2, ))
    backbone.init_weights()
    assert 0.01 < backbone.pos_embed.std() < 0.03
    assert 0 < backbone.cls_token.abs().max() < 1e-4
    assert 0 < backbone.register_tokens.abs().max() < 1e-4


@pytest.mark.parametrize(('arch', 'width', 'depth', 'heads', 'hidden'), [
    ('small', 384, 12, 6, 1536),
    ('base', 768, 12, 12, 3072),
    ('large', 1024, 24, 16, 4096),
    ('giant', 1536, 40, 24, 4096),
])
def test_official_sizes(arch, width, depth, heads, hidden):
    with torch.device('meta'):
        backbone = DINOv2(arch, out_indices=(depth - 1, ))
    assert backbone.pos_embed.shape == (1, 37 * 37 + 1, width)
    assert len(backbone.layers) == depth
    block = backbone.layers[0]
    assert block.attn.num_heads == heads
    last = block.ffn.w3 if arch == 'giant' else block.ffn.layers[1]
    assert last.weight.shape == (width, hidden)


def test_bfloat16(make_text):
    backbone, text = make_tiny(adapter=ADAPTER), make_text(12)
    x = torch.randn(2, 3, 42, 28)
    exact = backbone(x, text)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rough = backbone(x, text)
    for found, expected in zip(rough, exact, strict=True):
        torch.testing.assert_close(found.float(), expected, atol=0.2, rtol=0.2)


# What runs, and how


class Operators(TorchDispatchMode):
    """Counts PyTorch's operators as they run."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_attention_is_the_fused_kernel(tuning):
    backbone = make_tiny(tuning=tuning).train()
    with Operators() as operators:
        backbone(torch.randn(2, 3, 28, 42))
    fused = sum(count for name, count in operators.count.items() if name.startswith('_scaled_dot_product_'))
    assert fused == 3
    assert not operators.count.keys() & {'_softmax', 'bmm', 'baddbmm'}


def test_compiles_without_a_break(make_text):
    backbone = make_tiny(adapter=dict(ADAPTER, dropout=0.0), tuning='norm_bias').train()
    twin, x, text = copy.deepcopy(backbone), torch.randn(2, 3, 28, 42), make_text(12)
    compiled = torch.compile(backbone, fullgraph=True, backend='eager')
    for found, expected in zip(compiled(x, text), twin(x, text), strict=True):
        torch.testing.assert_close(found, expected)
    sum(x.sum() for x in compiled(x, text)).backward()
    assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)


def test_drop_path_compiles_and_acts_where_all_trains():
    x = torch.randn(8, 3, 28, 28)
    for tuning in ('norm_bias', 'all'):
        backbone = make_tiny(tuning=tuning, drop_path_rate=0.9).train()
        compiled = torch.compile(backbone, fullgraph=True, backend='eager')
        assert torch.equal(compiled(x)[1], backbone(x)[1]) is (tuning == 'norm_bias')
    assert torch.equal(compiled.eval()(x)[1], backbone(x)[1])
