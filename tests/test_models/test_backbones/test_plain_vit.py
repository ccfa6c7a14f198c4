import copy
from collections import Counter

import numpy as np
import pytest
import torch
from helpers.golden import golden_images, golden_weights, read_golden
from helpers.plain_vit import ADAPTER, DINOV3, TINY, make_tiny
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmrefseg.models import PlainViT


@pytest.mark.parametrize(('name', 'arch', 'kwargs'), [
    ('dinov2_vitb', 'vit_base_patch14_dinov2', dict(pos_embed_offset=0.1, pos_embed_antialias=False)),
    ('dinov2_vitb_reg', 'vit_base_patch14_reg4_dinov2', {}),
    ('dinov2_vits_reg', 'vit_small_patch14_reg4_dinov2', {}),
])
def test_golden(golden_folder, tmp_path, name, arch, kwargs):
    golden = read_golden(golden_folder / f'{name}.npz')
    path = tmp_path / f'{name}14_pretrain.pth'
    torch.save(golden_weights(golden.meta['state_dict'], golden.meta['seed']), path)
    backbone = PlainViT(
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


def tokens_ahead_of_the_blocks(backbone, x):
    seen = []
    backbone.tower.blocks[0].norm1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone(x)
    return seen[0]


@pytest.mark.parametrize('offset', [0.1, 0.0])
def test_position_embedding_of_the_trained_size_is_used_as_it_is(offset):
    backbone, x = make_tiny(pos_embed_offset=offset), torch.randn(1, 3, 28, 28)
    tokens = tokens_ahead_of_the_blocks(backbone, x)
    assert torch.equal(tokens[:, 5:], backbone.tower.patch_embed(x).flatten(1, 2) + backbone.tower.pos_embed)
    assert torch.equal(tokens[:, :5], torch.cat((backbone.tower.cls_token, backbone.tower.reg_token), dim=1))


@pytest.mark.parametrize(('offset', 'antialias'), [(0.1, False), (0.0, True), (0.0, False), (0.1, True)])
def test_position_embedding_of_another_size_is_resized(offset, antialias):
    backbone = make_tiny(img_size=56, pos_embed_offset=offset, pos_embed_antialias=antialias)
    x = torch.randn(1, 3, 42, 70)
    scale = [(3 + offset) / 4, (5 + offset) / 4]
    grid = backbone.tower.pos_embed.reshape(1, 4, 4, 24).permute(0, 3, 1, 2)
    positions = nn.functional.interpolate(
        grid, mode='bicubic', antialias=antialias, **dict(scale_factor=scale) if offset else dict(size=(3, 5)))
    expected = backbone.tower.patch_embed(x) + positions.permute(0, 2, 3, 1)
    torch.testing.assert_close(tokens_ahead_of_the_blocks(backbone, x)[:, 5:], expected.flatten(1, 2))


def test_registers_take_part_but_leave_no_trace_in_the_maps():
    backbone = make_tiny(reg_tokens=3)
    x = torch.randn(1, 3, 28, 42)
    before = backbone(x)
    assert [m.shape for m in before] == [(1, 24, 2, 3)] * 2
    with torch.no_grad():
        backbone.tower.reg_token[0, 2] += torch.randn(24)
    assert not torch.allclose(backbone(x)[1], before[1])


def test_maps_but_the_last_are_unnormed():
    backbone = make_tiny(out_indices=(0, 1, 2))
    with torch.no_grad():
        backbone.tower.norm.weight.zero_()
        backbone.tower.norm.bias.fill_(3)
    first, second, last = backbone(torch.randn(1, 3, 28, 28))
    assert (last == 3).all()
    assert not (first == 3).any()
    assert not (second == 3).any()


def test_adapters_start_near_identity(make_text):
    plain, adapted = make_tiny(), make_tiny(adapter=ADAPTER)
    missing, unexpected = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith('adapters.') for name in missing)
    fresh = PlainViT(**TINY, out_indices=(0, 2), adapter=ADAPTER)
    adapted.adapters.load_state_dict(fresh.adapters.state_dict())
    x = torch.randn(2, 3, 28, 42)
    for found, expected in zip(adapted(x, make_text(12)), plain(x), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize('family', [{}, DINOV3])
def test_adapters_and_layer_scale_by_hand(make_text, family):
    """The residual of an adapted block is layer_scale(MLP(x) + adapter(x)), in timm's two kinds of block."""
    backbone, text = make_tiny(**family, adapter=dict(ADAPTER, indices=(0, ))), make_text(12)
    tower, adapter, seen = backbone.tower, backbone.adapters['0'], []
    for block in tower.blocks[:2]:
        block.norm1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    backbone(torch.randn(2, 3, 2 * backbone.patch_size, 3 * backbone.patch_size), text)
    before, after = seen
    block = tower.blocks[0]
    if family:
        gammas, attended = (block.gamma_1, block.gamma_2), block.attn(block.norm1(before), tower.rope.get_embed((2, 3)))
    else:
        gammas, attended = (block.ls1.gamma, block.ls2.gamma), block.attn(block.norm1(before))
    tokens = before + gammas[0] * attended
    normed = block.norm2(tokens)
    adapted = adapter(normed, text, (2, 3))[0]
    assert adapted.any()
    torch.testing.assert_close(after, tokens + gammas[1] * (block.mlp(normed) + adapted))


def test_the_residual_with_the_adapter_is_dropped_as_a_whole(make_text):
    backbone, x = make_tiny(adapter=dict(ADAPTER, indices=(2, )), drop_path_rate=1.0, out_indices=(1, 2)), torch.randn(
        1, 3, 28, 28)
    backbone.tower.norm = nn.Identity()
    backbone.train()
    ahead, behind = backbone(x, make_text(12, lengths=(3, )))  # drop path grows to 1.0 at the last block
    assert torch.equal(ahead, behind)


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
        expected = name.startswith('adapters.') or name.endswith('bias') or part in ('norm', 'norm1', 'norm2')
        assert parameter.requires_grad == expected, name
    assert backbone.new_parts() == (backbone.adapters, )


def saved(tmp_path, backbone):
    torch.save(backbone.tower.state_dict(), tmp_path / 'weights.pth')
    return dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))


def test_loading_leaves_adapters_alone(tmp_path):
    source = make_tiny()
    backbone = make_tiny(adapter=ADAPTER, init_cfg=saved(tmp_path, source))
    adapters = {name: value.clone() for name, value in backbone.adapters.state_dict().items()}
    backbone.init_weights()
    state = backbone.state_dict()
    assert all(torch.equal(state[name], value) for name, value in source.state_dict().items())
    assert all(torch.equal(value, adapters[name]) for name, value in backbone.adapters.state_dict().items())


def test_weights_of_another_architecture(tmp_path):
    wider = make_tiny(mlp_ratio=3)
    with pytest.raises(ValueError, match=r'blocks\.0\.mlp\.fc1\.bias \(72,\) instead of \(48,\)'):
        make_tiny(init_cfg=saved(tmp_path, wider)).init_weights()
    with pytest.raises(ValueError, match='missing there: reg_token'):
        make_tiny(init_cfg=saved(tmp_path, make_tiny(reg_tokens=0))).init_weights()
    deeper = make_tiny(depth=4, out_indices=(3, ))
    with pytest.raises(ValueError, match=r'unknown to the model: blocks\.3\.'):
        make_tiny(init_cfg=saved(tmp_path, deeper)).init_weights()
    larger = make_tiny(img_size=56)
    with pytest.raises(ValueError, match=r'pos_embed \(1, 16, 24\) instead of \(1, 4, 24\)'):
        make_tiny(init_cfg=saved(tmp_path, larger)).init_weights()


def test_weights_behind_the_last_map_are_left_out(tmp_path):
    source = make_tiny()
    backbone = make_tiny(out_indices=(1, ), init_cfg=saved(tmp_path, source))
    backbone.init_weights()
    assert len(backbone.tower.blocks) == 2
    assert all(torch.equal(source.state_dict()[name], value) for name, value in backbone.state_dict().items())
    x = torch.randn(1, 3, 28, 28)
    source.out_indices = [1]
    assert torch.equal(backbone(x)[0], source(x)[0])


def test_missing_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        make_tiny(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'nowhere.pth'))).init_weights()


def test_random_initialisation():
    backbone = PlainViT(**TINY)
    before = copy.deepcopy(backbone.state_dict())
    backbone.init_weights()
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert 0.01 < backbone.tower.pos_embed.std() < 0.03
    assert 0 < backbone.tower.cls_token.abs().max() < 1e-4
    assert 0 < backbone.tower.reg_token.abs().max() < 1e-4


@pytest.mark.parametrize(('arch', 'width', 'depth', 'heads', 'hidden'), [
    ('small', 384, 12, 6, 1536),
    ('base', 768, 12, 12, 3072),
    ('large', 1024, 24, 16, 4096),
    ('giant', 1536, 40, 24, 4096),
])
@pytest.mark.parametrize('registers', ['', 'reg4_'])
def test_official_sizes(arch, width, depth, heads, hidden, registers):
    with torch.device('meta'):
        tower = PlainViT(f'vit_{arch}_patch14_{registers}dinov2').tower
    assert tower.pos_embed.shape == (1, 37 * 37 + (not registers), width)
    assert len(tower.blocks) == depth
    assert tower.blocks[0].attn.num_heads == heads
    assert tower.blocks[0].mlp.fc2.weight.shape == (width, hidden)


@pytest.mark.parametrize('family', [{}, DINOV3])
def test_bfloat16(make_text, family):
    backbone, text = make_tiny(**family, adapter=ADAPTER), make_text(12)
    x = torch.randn(2, 3, 3 * backbone.patch_size, 2 * backbone.patch_size)
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


@pytest.mark.parametrize('family', [{}, DINOV3])
@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_attention_is_the_fused_kernel(tuning, family):
    backbone = make_tiny(**family, tuning=tuning).train()
    with Operators() as operators:
        backbone(torch.randn(2, 3, 2 * backbone.patch_size, 3 * backbone.patch_size))
    fused = sum(count for name, count in operators.count.items() if name.startswith('_scaled_dot_product_'))
    assert fused == 3
    assert not operators.count.keys() & {'_softmax', 'bmm', 'baddbmm'}


@pytest.mark.parametrize('family', [{}, DINOV3])
def test_compiles_without_a_break(make_text, family):
    backbone = make_tiny(**family, adapter=dict(ADAPTER, dropout=0.0), tuning='norm_bias').train()
    twin, text = copy.deepcopy(backbone), make_text(12)
    x = torch.randn(2, 3, 2 * backbone.patch_size, 3 * backbone.patch_size)
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


def test_a_stem_sees_across_the_borders_of_patches():
    """Patches keep their size; a pixel reaches 3 pixels beyond its own patch, and norm and ReLU all of them."""
    backbone = make_tiny(patch_size=14, stem_channels=8)
    assert [tuple(x.shape) for x in backbone(torch.randn(2, 3, 28, 42))] == [(2, 24, 2, 3)] * 2
    stem = backbone.tower.patch_embed.backbone
    stem[1] = stem[2] = nn.Identity()
    x = torch.randn(1, 3, 28, 28)
    before = backbone.tower.patch_embed(x)
    for column, touched in ((13, [True, True]), (8, [True, False])):
        changed = x.clone()
        changed[..., 0, column] += 1
        differs = (backbone.tower.patch_embed(changed) - before).abs().amax(-1)[0] > 1e-4
        assert differs.tolist() == [touched, [False, False]]


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(stem_channels=12, patch_size=14), 'stem_channels of PlainViT is 12; it must be a multiple of 8'),
    (dict(stem_channels=8), 'patch_size of PlainViT with stem_channels is None; it must be an even number'),
    (dict(stem_channels=8, patch_size=7), 'patch_size of PlainViT with stem_channels is 7'),
])
def test_stems_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        make_tiny(**settings)
