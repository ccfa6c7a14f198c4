import copy

import pytest
import torch
from helpers.skip_without_mmpretrain import skip_without_mmpretrain
from mmengine.config import Config
from mmengine.model import Sequential, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample
from torch import nn

import mmrefseg
from mmrefseg.models import DeformableSEProjector
from mmrefseg.models.layers.projector import UpsampleProjector
from mmrefseg.registry import MODELS

OFF = dict(dcn=None, residual=False, se_ratio=None)
KAIMING = dict(type='Kaiming', layer='Conv2d')


def build(in_channels=8, channels=4, **settings):
    return MODELS.build(dict(type='DeformableSEProjector', in_channels=in_channels, channels=channels, **settings))


@pytest.fixture
def cris():
    """CRIS's projector after some training."""
    projector = UpsampleProjector(8, 4)
    for _ in range(3):
        projector(torch.randn(4, 8, 3, 3) + 1)
    return projector.eval()


def offsets(model):
    return [value for name, value in model.state_dict().items() if 'conv_offset' in name]


def test_all_off_it_is_that_of_cris(cris):
    projector = build(**OFF).eval()
    projector.load_state_dict(cris.state_dict())
    x = torch.randn(2, 8, 5, 4)
    assert torch.equal(projector(x), cris(x))
    assert torch.equal(projector((x, ))[0], cris(x))


@pytest.mark.parametrize('operator', ['mmcv', 'torch'])
@pytest.mark.parametrize(('dcn', 'factor'), [('DCN', 1), ('DCNv2', 2)])
def test_deformable_alone_it_starts_as_that_of_cris(cris, dcn, factor, operator):
    projector = build(**{**OFF, 'dcn': dcn}, dcn_operator=operator).eval()
    missing, unexpected = projector.load_state_dict(cris.state_dict(), strict=False)
    assert not unexpected
    assert all('conv_offset' in name for name in missing)
    for stage in (projector.conv1, projector.conv2):
        stage.conv.weight.data *= factor  # with the second version, every tap counts half
    x = torch.randn(2, 8, 5, 4)
    torch.testing.assert_close(projector(x), cris(x), atol=1e-5, rtol=1e-5)


def test_defaults_are_the_whole_of_segvlm():
    state = build().state_dict()
    assert build(dcn='DCN', residual=True, se_ratio=16).state_dict().keys() == state.keys()
    assert len(offsets(build())) == 4
    assert state.keys() > UpsampleProjector(8, 4).state_dict().keys()


def test_several_maps():
    """Each has weights of its own, and its own size."""
    neck = build(in_channels=(8, 6, 3)).eval()
    maps = tuple(torch.randn(2, channels, size, size + 1) for channels, size in ((8, 4), (6, 2), (3, 1)))
    outputs = neck(maps)
    assert [tuple(x.shape) for x in outputs] == [(2, 4, 16, 20), (2, 4, 8, 12), (2, 4, 4, 8)]
    for i, (x, output) in enumerate(zip(maps, outputs, strict=True)):
        alone = build(in_channels=x.shape[1]).eval()
        weights = neck.state_dict() if i == 0 else neck.others[i - 1].state_dict()
        alone.load_state_dict({name: value for name, value in weights.items() if not name.startswith('others.')})
        assert torch.equal(alone(x), output)


def test_the_number_of_maps_must_fit():
    with pytest.raises(ValueError, match=r'got 3 maps, but in_channels of DeformableSEProjector names 2'):
        build(in_channels=(8, 8))((torch.randn(1, 8, 2, 2), ) * 3)


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match=r'deform_groups is 3; it must divide the 8 input channels'):
        build(deform_groups=3)


@pytest.mark.parametrize('above', [False, True], ids=['own', 'of the model around it'])
def test_kaiming_leaves_offsets_at_zero(above):
    neck = build(in_channels=(64, 32), channels=32, dcn='DCNv2', init_cfg=None if above else KAIMING)
    model = Sequential(neck, init_cfg=KAIMING) if above else neck
    for value in neck.state_dict().values():
        if value.is_floating_point():
            nn.init.constant_(value, 7)
    model.init_weights()
    assert all(not value.any() for value in offsets(neck))
    for projector in (neck, *neck.others):
        for stage in (projector.conv1, projector.conv2):
            deviation = (2 / (9 * stage.out_channels))**0.5
            assert stage.conv.weight.std().item() == pytest.approx(deviation, rel=0.05)
        assert projector.out.weight.std().item() == pytest.approx((2 / 32)**0.5, rel=0.1)


def test_trained_offsets_are_loaded(tmp_path):
    trained = build()
    for value in offsets(trained):
        nn.init.normal_(value)
    torch.save(trained.state_dict(), tmp_path / 'trained.pth')
    projector = build(init_cfg=[KAIMING, dict(type='Pretrained', checkpoint=str(tmp_path / 'trained.pth'))])
    projector.init_weights()
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in projector.state_dict().items())


@pytest.mark.parametrize('dcn', ['DCN', 'DCNv2', None])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision(dcn, dtype):
    projector = build(dcn=dcn, residual=True).eval()
    x = torch.randn(2, 8, 4, 4)
    expected = projector(x)
    with torch.autocast('cpu', dtype=dtype):
        output = projector(x)
    assert output.dtype == dtype
    torch.testing.assert_close(output.float(), expected, atol=0.05, rtol=0.05)
    projector.train()
    with torch.autocast('cpu', dtype=dtype):
        loss = projector(x).float().square().mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in projector.parameters())


@pytest.mark.parametrize('operator', ['mmcv', 'torch'])
def test_gradients_reach_the_offsets(operator):
    projector = build(dcn_operator=operator)
    optimizer = torch.optim.SGD(projector.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        projector(torch.randn(2, 8, 4, 4)).square().mean().backward()
        assert all(p.grad.abs().max() > 1e-7 for name, p in projector.named_parameters() if 'conv_offset' in name)
        optimizer.step()
    assert all(value.abs().max() > 0 for value in offsets(projector))


@pytest.fixture
def mmseg_config():
    """The config with a model of mmseg, made small."""
    config = Config.fromfile(mmrefseg.config_path('mixing/deformable-se-projector_fcn-r18_cityscapes'))
    model = config.model
    model.pretrained = None
    model.backbone.update(base_channels=4, stem_channels=4)
    model.neck.update(in_channels=(16, 32), channels=8)
    model.decode_head.update(in_channels=8, channels=8, num_classes=3)
    model.auxiliary_head.update(in_channels=8, channels=8, num_classes=3)
    model.data_preprocessor.size = (64, 64)
    return config


@pytest.mark.parametrize('backbone', ['mmseg.ResNetV1c', 'mmpretrain.ResNet'])
def test_training_in_a_model_of_mmseg(mmseg_config, backbone):
    model_cfg = copy.deepcopy(mmseg_config.model)
    if backbone.startswith('mmpretrain'):
        skip_without_mmpretrain()
        del model_cfg.backbone['contract_dilation']
    model_cfg.backbone.type = backbone
    with DefaultScope.overwrite_default_scope(mmseg_config.default_scope):
        model = revert_sync_batchnorm(MMSEG_MODELS.build(model_cfg))
    model.init_weights()
    assert type(model).__module__ == 'mmseg.models.segmentors.encoder_decoder'
    assert isinstance(model.neck, DeformableSEProjector)
    assert not any(value.any() for value in offsets(model))
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=(image[:1] // 86).long()),
            metainfo=dict(ori_shape=(64, 64), img_shape=(64, 64), img_padding_size=(0, 0, 0, 0)))
        for image in images
    ]
    data = dict(inputs=list(images), data_samples=samples)
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=3e-3))
    logs = [model.train_step(data, optimizer) for _ in range(4)]
    assert logs[-1]['decode.loss_ce'] < logs[0]['decode.loss_ce']
    assert all(value.abs().max() > 1e-4 for value in offsets(model))
    model.parse_losses(model(**model.data_preprocessor(data, True), mode='loss'))[0].backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert [x.shape for x in model.extract_feat(torch.randn(1, 3, 64, 64))] == [(1, 8, 16, 16), (1, 8, 8, 8)]
    assert [sample.seg_logits.data.shape for sample in model.eval().test_step(data)] == [(3, 64, 64)] * 2
