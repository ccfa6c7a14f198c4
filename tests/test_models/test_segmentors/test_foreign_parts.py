"""Parts of other OpenMMLab packages in our segmentor, and ours in theirs."""
import pytest
import torch
from helpers.skip_without_mmpretrain import skip_without_mmpretrain
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmrefseg.registry import MODELS

NORM = dict(type='BN')
BCE = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
SOFTMAX = dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0)
BACKBONE = dict(
    type='mmrefseg.PlainViT', embed_dim=24, depth=3, num_heads=2, mlp_ratio=2.0, img_size=56, out_indices=(0, 1, 2))
NECK = dict(
    type='mmrefseg.SERAFusion', in_channels=(24, 24, 24), channels=16, sentence_channels=16, num_heads=2, top_k=2)
ONE_CHANNEL = dict(num_classes=2, out_channels=1, threshold=0.35, loss_decode=BCE)
TWO_CLASSES = dict(num_classes=2, loss_decode=SOFTMAX)


def fcn_head(in_channels, kind, in_index=-1):
    return dict(
        type='mmseg.FCNHead', in_channels=in_channels, in_index=in_index, channels=8, num_convs=1, norm_cfg=NORM,
        dropout_ratio=0.0, **kind)


def train(model, data, steps=2):
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    for _ in range(steps):
        log = model.train_step(data, optimizer)
    return log


def without_gradient(model, data):
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    model.parse_losses(losses)[0].backward()
    return {name for name, p in model.named_parameters() if p.grad is None}


@pytest.mark.parametrize('kind', [ONE_CHANNEL, TWO_CLASSES], ids=['one channel', 'two classes'])
def test_a_head_of_mmseg(tiny_config, make_batch, kind):
    tiny_config.decode_head = fcn_head(64, kind)
    model = MODELS.build(tiny_config)
    assert set(train(model, make_batch())) >= {'loss', 'decode.loss_ce', 'decode.acc_seg', 'loss_router_z'}
    assert not [name for name in without_gradient(model, make_batch()) if name.startswith('decode_head')]
    model.eval()
    prepared = model.data_preprocessor(make_batch())
    logits = model(**prepared)
    assert logits.shape == (2, kind.get('out_channels', 2), 4, 4)
    large = nn.functional.interpolate(logits, (56, 56), mode='bilinear', align_corners=False)
    expected = (large if 'out_channels' in kind else large[:, 1:] - large[:, :1]).sigmoid()
    for sample, probability in zip(model(**prepared, mode='predict'), expected, strict=True):
        assert sample.pred_sem_seg.data.shape == (1, 56, 56)
        torch.testing.assert_close(sample.seg_logits.data.sigmoid(), probability)
        assert (sample.pred_sem_seg.data != (probability > 0.35)).float().mean() < 0.01


@pytest.mark.parametrize('ours', [True, False], ids=['our head', 'head of mmseg'])
def test_a_backbone_of_mmpretrain(tiny_config, make_batch, ours):
    skip_without_mmpretrain()
    tiny_config.backbone = dict(type='mmpretrain.ResNet', depth=18, out_indices=(2, 3))
    tiny_config.neck = None
    if ours:
        tiny_config.decode_head.in_channels = 512
    else:
        tiny_config.decode_head = fcn_head(256, ONE_CHANNEL, in_index=0)
    model = MODELS.build(tiny_config)
    log = train(model, make_batch())
    assert 'decode.loss_ce' in log
    assert not any('router' in name for name in log)
    model.eval()
    assert [sample.pred_sem_seg.data.shape for sample in model.test_step(make_batch())] == [(1, 56, 56)] * 2


@pytest.mark.parametrize('scope', ['mmseg', 'mmrefseg'])
@pytest.mark.parametrize('neck', [None, NECK], ids=['no neck', 'SERAFusion'])
def test_our_parts_in_a_model_of_mmseg(make_batch, scope, neck):
    with DefaultScope.overwrite_default_scope(scope):
        model = MMSEG_MODELS.build(
            dict(
                type='mmseg.EncoderDecoder',
                data_preprocessor=dict(type='mmseg.SegDataPreProcessor', mean=[0] * 3, std=[255] * 3, size=(56, 56)),
                backbone=BACKBONE,
                neck=neck,
                decode_head=fcn_head(16 if neck else 24, TWO_CLASSES),
                train_cfg=None,
                test_cfg=ConfigDict(mode='whole')))
    data = make_batch()
    data['data_samples'] = [
        SegDataSample(gt_sem_seg=sample.gt_sem_seg.new(data=sample.gt_sem_seg.data.long()), metainfo=sample.metainfo)
        for sample in data['data_samples']
    ]
    log = train(model, data)
    assert log['loss'].isfinite()
    # what meets the sentence has nothing to do here
    assert all(name.startswith(('neck.gates.', 'neck.project_sentence.')) for name in without_gradient(model, data))
    model.eval()
    for sample in model.test_step(data):
        assert sample.pred_sem_seg.data.shape == (1, 56, 56)
        assert sample.seg_logits.data.shape == (2, 56, 56)


def test_our_segmentor_in_a_config_of_mmseg(make_batch):
    """What the config says with prefixes must do; our own defaults must not need our scope."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MMSEG_MODELS.build(
            dict(
                type='mmrefseg.ReferringSegmentor',
                text_encoder=dict(
                    type='mmrefseg.OpenCLIPTextEncoder',
                    num_tokens=8,
                    arch=dict(embed_dim=16, text_cfg=dict(context_length=8, width=16, heads=2, layers=1))),
                backbone=BACKBONE,
                neck=NECK,
                decode_head=dict(
                    type='mmrefseg.DynamicKernelHead', in_channels=16, text_channels=16, sentence_channels=16,
                    num_layers=1, num_heads=2, ffn_channels=16)))
    log = train(model, make_batch())
    assert log['loss'].isfinite()
