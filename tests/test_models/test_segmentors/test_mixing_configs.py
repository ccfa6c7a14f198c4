"""The configs that mix our parts with those of other packages, made tiny and trained for two steps."""
import subprocess
import sys

import pytest
import torch
from helpers.skip_without_mmpretrain import skip_without_mmpretrain
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.registry import MODELS

SMALL = {
    'text_encoder': dict(
        num_tokens=8,
        adapter=None,
        init_cfg=None,
        arch=dict(embed_dim=16, text_cfg=dict(context_length=8, width=16, heads=2, layers=1))),
    'neck': dict(channels=16, sentence_channels=16, num_heads=2, router_channels=8, top_k=2),
    'decode_head': dict(
        in_channels=16, text_channels=16, sentence_channels=16, num_layers=1, num_heads=2, ffn_channels=16),
}
SWIN = dict(arch=dict(embed_dims=8, depths=[1] * 4, num_heads=[1] * 4), img_size=64, window_size=2, init_cfg=None)
CONVNEXT = dict(arch=dict(depths=[1] * 4, channels=[8, 12, 16, 24]), init_cfg=None)


def as_list(neck):
    return neck if isinstance(neck, list) else [neck]


def build(name, backbone, in_channels, fpn=None):
    """The model of a config, made small; ``in_channels`` are SERA-Fusion's, ``fpn`` the type of the neck before it."""
    model = Config.fromfile(mmrefseg.config_path(f'mixing/{name}')).model
    if model.backbone.type.startswith('mmpretrain.'):
        skip_without_mmpretrain()
    model.text_encoder.update(SMALL['text_encoder'])
    model.backbone.update(backbone)
    *before, fusion = as_list(model.neck)
    fusion.update(SMALL['neck'], in_channels=in_channels)
    for neck in before:
        neck.update(type=fpn, in_channels=[8, 16, 32, 64], out_channels=in_channels[0])
    if model.decode_head.type == 'DynamicKernelHead':
        model.decode_head.update(SMALL['decode_head'])
    else:
        model.decode_head.update(in_channels=16, channels=8)
    model = MODELS.build(model)
    model.init_weights()
    return model


def train(model, data):
    """Two steps; their losses, and the parameters that no gradient reaches."""
    optimizer = OptimWrapper(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1))
    before = [p.clone() for p in model.parameters()]
    logs = [model.train_step(data, optimizer) for _ in range(2)]
    assert all(log['loss'].isfinite() for log in logs)
    after = zip(model.named_parameters(), before, strict=True)
    assert {name.split('.')[0] for (name, p), old in after if not torch.equal(p, old)} >= {
        'backbone', 'neck', 'decode_head'}
    model.parse_losses(model(**model.data_preprocessor(data, True), mode='loss'))[0].backward()
    return logs[-1], [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize(('name', 'backbone', 'in_channels', 'fpn'), [
    ('sera-fusion_swin-tiny_refcoco', SWIN, (8, 16, 32, 64), None),
    ('sera-fusion_convnext-tiny_refcoco', CONVNEXT, (8, 12, 16, 24), None),
    ('sera-fusion_fpn_swin-tiny_refcoco', SWIN, (12, ) * 4, 'mmseg.FPN'),
    ('sera-fusion_fpn_swin-tiny_refcoco', SWIN, (12, ) * 4, 'mmdet.FPN'),
])
def test_a_backbone_with_strides(make_batch, name, backbone, in_channels, fpn):
    if fpn == 'mmdet.FPN':
        pytest.importorskip('mmdet.models')
    model, data = build(name, backbone, in_channels, fpn), make_batch(size=64)
    log, unreached = train(model, data)
    assert {'decode.loss_ce', 'loss_router_z', 'loss_router_balance', 'loss_router_assignment'} <= set(log)
    assert unreached == []
    model.eval()
    with torch.no_grad():
        prepared = model.data_preprocessor(data)
        maps, _, routing = model.extract_feat(
            *(prepared[key] for key in ('inputs', 'token_ids', 'token_mask')))
    assert [tuple(x.shape) for x in maps] == [(2, 16, 4, 4)]  # stride 16
    assert [info.name for info in routing] == ['fusion.0', 'fusion.1', 'fusion.2', 'fusion.3']
    assert [sample.pred_sem_seg.data.shape for sample in model.test_step(data)] == [(1, 64, 64)] * 2
    one, other = (model.test_step(make_batch((text, 'two'), size=64))[0].seg_logits.data for text in ('red', 'blue'))
    assert not torch.allclose(one, other)


def test_a_head_of_mmseg(make_batch):
    backbone = dict(
        arch='vit_base_patch14_dinov2', embed_dim=24, depth=3, num_heads=2, mlp_ratio=2.0, img_size=56,
        out_indices=(0, 1, 2), init_cfg=None, tuning='all',
        adapter=dict(type='SERAAdapter', indices=(1, ), text_channels=16, channels=16, num_heads=2))
    model, data = build('sera_fcn-head_refcoco', backbone, (24, ) * 3), make_batch()
    assert model.decode_head.out_channels == 1
    log, unreached = train(model, data)
    assert 'decode.loss_ce' in log
    assert unreached == []
    assert [sample.pred_sem_seg.data.shape for sample in model.eval().test_step(data)] == [(1, 56, 56)] * 2


@pytest.mark.parametrize(('name', 'size'), [
    ('sera-fusion_swin-tiny_refcoco', 224),  # no smaller one has room for Swin's windows
    ('sera-fusion_convnext-tiny_refcoco', 64),
    ('sera-fusion_fpn_swin-tiny_refcoco', 224),
    ('sera-fusion_upernet-r50_ade20k', 64),
])
@torch.no_grad()
def test_widths_as_they_are_written(name, size):
    """The parts fit each other at their own size, too."""
    if 'fpn' in name:
        pytest.importorskip('mmdet.models')
    config = Config.fromfile(mmrefseg.config_path(f'mixing/{name}'))
    config.model.backbone.init_cfg = None
    if config.model.backbone.type.startswith('mmpretrain.'):
        skip_without_mmpretrain()
    with DefaultScope.overwrite_default_scope(config.default_scope):
        parts = MODELS.build([config.model.backbone, *as_list(config.model.neck)]).eval()
        maps = parts(torch.rand(1, 3, size, size))
        assert [tuple(x.shape) for x in maps] == [(1, 512, size // 16, size // 16)]
        if config.default_scope == 'mmseg':
            for head in (config.model.decode_head, config.model.auxiliary_head):
                assert MODELS.build(head).eval()(maps).shape == (1, 150, 4, 4)


IN_MMSEG = '''
import sys
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData

torch.set_num_threads(1)
config = Config.fromfile(sys.argv[1])
init_default_scope(config.default_scope)
from mmseg.structures import SegDataSample

tiny = dict(channels=8, in_channels=16, num_classes=5)
config.model.pretrained = None
config.model.backbone.update(depth=18, base_channels=8, stem_channels=8)
config.model.neck.update(in_channels=(8, 16, 32, 64), channels=16, num_heads=2, router_channels=8)
config.model.decode_head.update(tiny, in_channels=[16])
config.model.auxiliary_head.update(tiny)
config.model.data_preprocessor.size = (64, 64)
model = revert_sync_batchnorm(MODELS.build(config.model))
model.init_weights()
sizes = dict(ori_shape=(64, 64), img_shape=(64, 64))
masks = torch.randint(5, (2, 1, 64, 64))
samples = [SegDataSample(gt_sem_seg=PixelData(data=mask), metainfo=sizes) for mask in masks]
data = dict(inputs=[torch.randint(256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)], data_samples=samples)
optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
for _ in range(2):
    assert model.train_step(data, optimizer)['loss'].isfinite()
model.parse_losses(model(**model.data_preprocessor(data, True), mode='loss'))[0].backward()
assert not [name for name, p in model.named_parameters() if p.grad is None]
samples = model.eval().test_step(data)
assert [sample.pred_sem_seg.data.shape for sample in samples] == [(1, 64, 64)] * 2
print('trained', type(model).__module__, type(model.neck).__module__)
'''


def test_a_model_of_mmseg_in_a_fresh_process():
    """Nothing but the config brings mmrefseg in; here, it has long been imported."""
    path = mmrefseg.config_path('mixing/sera-fusion_upernet-r50_ade20k')
    done = subprocess.run([sys.executable, '-c', IN_MMSEG, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-3:] == [
        'trained', 'mmseg.models.segmentors.encoder_decoder', 'mmrefseg.models.necks.sera_fusion']
