import copy

import pytest
import torch
import torch.nn.functional as F
from mmseg.models import EncoderDecoder
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file
from torch import nn

from mmrefseg.models import CLIPResNet
from mmrefseg.registry import MODELS
from mmrefseg.utils.model_complexity import count_parameters

TEXT = dict(context_length=8, vocab_size=32, width=16, heads=1, layers=1)
VISION = dict(layers=[1, 1, 2, 1], width=8, image_size=96)
ARCH = dict(embed_dim=20, vision_cfg=VISION)
VIT = dict(layers=1, width=32, head_width=16, patch_size=8, image_size=16)


def randomize(module):
    """No normalisation, and no batch statistic, is the identity."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            gain = value.ndim == 1 and name.endswith(('running_var', 'weight'))
            nn.init.normal_(value, mean=float(gain), std=0.1)
    return module


def make_backbone(**kwargs):
    return randomize(CLIPResNet(ARCH, **kwargs)).eval()


def make_clip(kind=CLIP, vision=VISION):
    return randomize(kind(20, vision, TEXT))


def load(checkpoint, **kwargs):
    backbone = make_backbone(init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)), **kwargs)
    backbone.init_weights()
    return backbone


def save(path, state):
    (save_file if path.suffix == '.safetensors' else torch.save)(state, path)
    return path


# Maps


@pytest.mark.parametrize(('arch', 'depths'), [('RN50-quickgelu', (3, 4, 6, 3)), ('RN101', (3, 4, 23, 3))])
def test_architectures_by_name(arch, depths):
    with torch.device('meta'):
        backbone = CLIPResNet(arch)
        maps = backbone(torch.zeros(2, 3, 416, 320))
    last = {'RN50-quickgelu': 1024, 'RN101': 512}[arch]
    assert [x.shape for x in maps] == [(2, 512, 52, 40), (2, 1024, 26, 20), (2, last, 13, 10)]
    assert tuple(len(getattr(backbone.tower, f'layer{i}')) for i in range(1, 5)) == depths


def test_stages_are_open_clips():
    backbone, clip = make_backbone(), make_clip().eval()
    clip.visual.load_state_dict(backbone.tower.state_dict())
    x = torch.randn(2, 3, 96, 96)
    stages = clip.visual.forward_intermediates(x, indices=[2, 3], intermediates_only=True)['image_intermediates']
    for found, expected in zip(backbone(x)[:2], stages, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize('size', [(96, 96), (64, 160)])
def test_last_map_against_attention_by_position(size):
    """Multi-head attention of PyTorch, and position embeddings put together pixel by pixel."""
    backbone = make_backbone()
    pool = backbone.tower.attnpool
    attention = nn.MultiheadAttention(256, pool.num_heads)
    projections = (pool.q_proj, pool.k_proj, pool.v_proj)
    attention.load_state_dict({
        'in_proj_weight': torch.cat([p.weight for p in projections]),
        'in_proj_bias': torch.cat([p.bias for p in projections]),
        'out_proj.weight': torch.eye(256),
        'out_proj.bias': torch.zeros(256),
    })
    x = torch.randn(2, 3, *size)
    features = backbone.tower.layer4(backbone(x)[1])
    rows, columns = features.shape[2:]
    grid = pool.positional_embedding[1:].reshape(3, 3, 256)
    if (rows, columns) != (3, 3):
        grid = F.interpolate(grid.permute(2, 0, 1)[None], (rows, columns), mode='bicubic', align_corners=False)
        grid = grid[0].permute(1, 2, 0)
    tokens = torch.stack([features[:, :, i, j] + grid[i, j] for i in range(rows) for j in range(columns)])
    attended = pool.c_proj(attention(tokens, tokens, tokens)[0])
    conv, bn = backbone.connect.conv, backbone.connect.bn
    found = backbone(x)[2]
    for position, value in enumerate(attended):
        i, j = divmod(position, columns)
        connected = features[:, :, i, j] @ conv.weight[:, :, 0, 0].t() - bn.running_mean
        expected = (value + connected / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias).relu()
        torch.testing.assert_close(found[:, :, i, j], expected, atol=1e-5, rtol=1e-4)
    assert found.any()


def test_position_embedding_keeps_its_orientation():
    backbone = make_backbone()
    down = torch.arange(3.0)[:, None].expand(3, 3).flatten()
    backbone.tower.attnpool.positional_embedding.data[1:] = down[:, None]
    positions = backbone._positions((5, 7))[0, 0]
    assert (positions.diff(dim=0) > 0).all()
    torch.testing.assert_close(positions, positions[:, :1].expand(5, 7))
    torch.testing.assert_close(backbone._positions((3, 3))[0, 0], down.view(3, 3))


def test_the_embedding_of_the_mean_has_no_effect():
    backbone, x = make_backbone(), torch.randn(1, 3, 64, 64)
    before = backbone(x)[2]
    backbone.tower.attnpool.positional_embedding.data[0] += 1
    assert torch.equal(backbone(x)[2], before)


def test_every_parameter_has_a_gradient():
    """Or DDP would wait for one."""
    backbone = make_backbone().train()
    sum(x.square().mean() for x in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert not [name for name, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]


def test_bfloat16_and_compilation():
    backbone, x = make_backbone(), torch.randn(2, 3, 64, 96)
    exact = backbone(x)
    for found, expected in zip(torch.compile(backbone, backend='eager', fullgraph=True)(x), exact, strict=True):
        torch.testing.assert_close(found, expected)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rough = backbone(x)
    for found, expected in zip(rough, exact, strict=True):
        assert (found.float() - expected).abs().max() < 0.1 * expected.abs().max()


def test_in_a_model_of_mmseg():
    model = MODELS.build(dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='mmrefseg.CLIPResNet', arch=ARCH),
        neck=dict(type='mmseg.FPN', in_channels=[64, 128, 20], out_channels=16, num_outs=3),
        decode_head=dict(type='mmseg.FPNHead', in_channels=[16] * 3, in_index=[0, 1, 2], feature_strides=[8, 16, 32],
                         channels=8, num_classes=3, loss_decode=dict(type='mmseg.CrossEntropyLoss'))))
    assert isinstance(model, EncoderDecoder)
    assert model(torch.randn(1, 3, 96, 64)).shape == (1, 3, 12, 8)


# Tuning


def test_frozen_parts_stay_the_same_bit_for_bit():
    for tuning, trains in (('none', ()), ('norm_bias', ('bias', )), ('all', ('', ))):
        backbone = CLIPResNet(ARCH, tuning=tuning).train()
        optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, weight_decay=0.1)
        before = copy.deepcopy(backbone.state_dict())
        backbone(torch.randn(2, 3, 64, 64))[2].mean().backward()
        optimizer.step()
        changed = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
        tower = {name for name in changed if name.startswith('tower.')}
        assert {name for name in changed if name.startswith('connect.')} == {
            name for name in before if name.startswith('connect.')}
        assert all(name.endswith(trains) for name in tower)
        assert ('tower.bn1.running_mean' in tower) == (tuning == 'all')
        assert bool(tower) == (tuning != 'none')


def test_the_connection_is_new():
    with torch.device('meta'):
        model = CLIPResNet('RN101-quickgelu', tuning='none', init_cfg=dict(type='Pretrained', checkpoint='openai'))
        pretrained, new = count_parameters(model)
    assert pretrained == (56259936, 0)  # open_clip's ModifiedResNet of RN101
    assert new == (2048 * 512 + 2 * 512, 2048 * 512 + 2 * 512)


def test_unknown_tuning():
    with pytest.raises(ValueError, match="tuning of CLIPResNet is 'some'"):
        CLIPResNet(ARCH, tuning='some')


# Weights


@pytest.mark.parametrize('kind', [CLIP, CustomTextCLIP])
@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_weights_of_open_clip(tmp_path, kind, suffix):
    clip = make_clip(kind)
    backbone = load(save(tmp_path / f'clip{suffix}', clip.state_dict()))
    for name, value in clip.visual.state_dict().items():
        assert torch.equal(backbone.tower.state_dict()[name], value)


def test_loading_leaves_the_connection_alone(tmp_path):
    path = save(tmp_path / 'clip.pt', make_clip().state_dict())
    backbone = make_backbone(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    before = copy.deepcopy(backbone.connect.state_dict())
    backbone.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in backbone.connect.state_dict().items())


def test_weights_of_another_architecture(tmp_path):
    wide = make_clip(vision=dict(VISION, width=16))
    with pytest.raises(ValueError, match=r'(?s)wide\.pt .*bn1\.bias \(8,\) instead of \(4,\)'):
        load(save(tmp_path / 'wide.pt', wide.state_dict()))
    deep = make_clip(vision=dict(VISION, layers=[1, 2, 2, 1]))
    with pytest.raises(ValueError, match=r'unknown to the model: layer2\.1\.'):
        load(save(tmp_path / 'deep.pt', deep.state_dict()))
    other_size = make_clip(vision=dict(VISION, image_size=64))
    with pytest.raises(ValueError, match=r'attnpool\.positional_embedding \(5, 256\) instead of \(10, 256\)'):
        load(save(tmp_path / 'small.pt', other_size.state_dict()))
    with pytest.raises(ValueError, match=r'(?s)missing there: attnpool.*unknown to the model: class_embedding'):
        load(save(tmp_path / 'vit.pt', make_clip(vision=VIT).state_dict()))
    with pytest.raises(ValueError, match=r'missing there: attnpool'):
        load(save(tmp_path / 'foreign.pt', nn.Linear(2, 2).state_dict()))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pt'):
        load(tmp_path / 'nowhere.pt')


def test_without_pretrained_weights_nothing_changes():
    backbone = make_backbone()
    before = copy.deepcopy(backbone.state_dict())
    backbone.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize(('arch', 'message'), [
    ('RN-7', "open_clip has no architecture 'RN-7'"),
    ('local-dir:/etc', "open_clip has no architecture 'local-dir:/etc'"),
    ('hf-hub:a/b', "open_clip has no architecture 'hf-hub:a/b'"),
    (dict(embed_dim=20, vision_cfg=dict(VISION, timm_model_name='hf-hub:a/b')), 'has no ResNet'),
    ('ViT-B-16', "'ViT-B-16' has no ResNet.*'RN50-quickgelu'"),
    (dict(embed_dim=20, vision_cfg=dict(VISION, layers=[1, 1, 2])), 'has no ResNet.*four layers'),
    (dict(embed_dim=20, vision_cfg=dict(VISION, head_width=60)), r'head_width of CLIPResNet is 60; .* the 256 '),
])
def test_unknown_architecture(arch, message):
    with pytest.raises(ValueError, match=message):
        CLIPResNet(arch)
