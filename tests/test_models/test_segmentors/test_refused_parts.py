"""Parts that don't go together are refused when the segmentor is built."""

import pytest
from mmengine.config import Config
from torch import nn

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS


@pytest.mark.parametrize(('classes', 'message'), [
    (dict(num_classes=3), r'num_classes of decode_head \(FCNHead\) is 3; it must be 2'),
    (dict(num_classes=3, out_channels=3), r'num_classes of decode_head \(FCNHead\) is 3; it must be 2'),
])
def test_a_head_of_three_classes(tiny_config, classes, message):
    loss = dict(type='mmseg.CrossEntropyLoss')
    tiny_config.decode_head = dict(type='mmseg.FCNHead', in_channels=64, channels=8, loss_decode=loss, **classes)
    with pytest.raises(InputError, match=message):
        MODELS.build(tiny_config)
    tiny_config.decode_head.update(num_classes=2, out_channels=2)
    MODELS.build(tiny_config)


@pytest.mark.parametrize(('part', 'config'), [
    ('data_preprocessor', dict(type='mmseg.SegDataPreProcessor')),
    ('text_encoder', dict(type='RouterZLoss', loss_weight=1.0)),
])
def test_parts_that_cannot_tokenize(tiny_config, part, config):
    tiny_config[part] = config
    with pytest.raises(InputError, match=f'type of {part} is .*, which has no `tokenize`'):
        MODELS.build(tiny_config)


@pytest.mark.parametrize(('part', 'setting', 'place'), [
    ('backbone.adapter', 'text_channels', r'backbone\.adapters\.1 \(SERAAdapter\)'),
    ('neck', 'sentence_channels', r'neck \(SERAFusion\)'),
    ('decode_head', 'text_channels', r'decode_head \(DynamicKernelHead\)'),
    ('decode_head', 'sentence_channels', r'decode_head \(DynamicKernelHead\)'),
])
def test_text_of_another_width(tiny_config, part, setting, place):
    tiny_config.text_encoder.arch.embed_dim = 60
    tiny_config.neck.sentence_channels = tiny_config.decode_head.sentence_channels = 60
    MODELS.build(tiny_config)
    config = tiny_config
    for name in part.split('.'):
        config = config[name]
    width = config[setting]
    config[setting] = 128
    with pytest.raises(ValueError, match=f"{setting} of {place} is 128; it must be {width}, .*OpenCLIPTextEncoder's"):
        MODELS.build(tiny_config)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'neck.in_channels': (96, 96)},
     r'in_channels of neck \(SERAFusion\) is \(96, 96\); it must be \(96, 96, 96\), .* backbone \(PlainViT\) gives'),
    ({'neck.in_channels': (96, 96, 48)}, r'is \(96, 96, 48\); it must be \(96, 96, 96\)'),
    ({'backbone.out_indices': (1, -1)}, r'is \(96, 96, 96\); it must be \(96, 96\)'),
    ({'decode_head.in_channels': 96},
     r'in_channels of decode_head \(DynamicKernelHead\) is 96; it must be 64, .* neck \(SERAFusion\) gives'),
    ({'neck': None}, r'is 64; it must be 96, .* backbone \(PlainViT\) gives'),
])
def test_maps_of_another_width(tiny_config, changes, message):
    config = Config(tiny_config)
    config.merge_from_dict(changes)
    with pytest.raises(ValueError, match=message):
        MODELS.build(config.to_dict())


PYRAMID = dict(type='mmseg.FPN', in_channels=[96] * 3, out_channels=32, num_outs=3)


def with_fcn_head(config, **settings):
    loss = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True)
    config.decode_head = dict(
        type='mmseg.FCNHead', channels=8, num_classes=2, out_channels=1, threshold=0.35, loss_decode=loss, **settings)
    return config


@pytest.mark.parametrize(('neck', 'head', 'message'), [
    (PYRAMID, dict(in_channels=32, in_index=2), None),
    (PYRAMID, dict(in_channels=64, in_index=2), r'decode_head \(FCNHead\) is 64; it must be 32, .* neck \(FPN\) gives'),
    (PYRAMID, dict(in_channels=32, in_index=3), r'in_index of decode_head \(FCNHead\) is 3; it must be from 0 to 2'),
    (PYRAMID, dict(in_channels=[32, 32], in_index=[0, 2], input_transform='resize_concat'), None),
    (PYRAMID, dict(in_channels=[32, 96], in_index=[0, 2], input_transform='resize_concat'), 'is 128; it must be 64'),
    (dict(PYRAMID, in_channels=[96, 96, 48]), dict(in_channels=32), r'neck \(FPN\) is \(96, 96, 48\); .* \(96, 96, '),
    ([PYRAMID, dict(type='SERAFusion', in_channels=(96, ) * 3, sentence_channels=64)], dict(in_channels=512),
     r'in_channels of neck\.1 \(SERAFusion\) is \(96, 96, 96\); it must be \(32, 32, 32\), .*neck\.0 \(FPN\)'),
    (dict(type='mmseg.Feature2Pyramid', embed_dim=96, rescales=[2, 1, 0.5]), dict(in_channels=48, in_index=3), None),
])
def test_widths_of_parts_of_mmseg(tiny_config, neck, head, message):
    """What a part doesn't say is left to PyTorch."""
    tiny_config.neck = neck
    config = with_fcn_head(tiny_config, **head)
    if message is None:
        MODELS.build(config)
    else:
        with pytest.raises(ValueError, match=message):
            MODELS.build(config)


class WithoutTakesText(nn.Module):
    """Wants text, but says so nowhere."""

    def forward(self, maps, text):
        return maps

    def loss(self, maps, text, data_samples):
        return {}

    def predict(self, maps, text):
        return maps[-1]


class TextIsWelcome(WithoutTakesText):
    """Does without text, too."""

    def forward(self, maps, text=None):
        return maps


class WithoutPredict(nn.Module):
    takes_text = True

    def forward(self, maps, text):
        return maps[-1]

    def loss(self, maps, text, data_samples):
        return {}


class WithoutLoss(nn.Module):

    def forward(self, maps):
        return maps[-1]

    def predict(self, maps, metas, test_cfg):
        return maps[-1]


@pytest.mark.parametrize(('part', 'kind', 'message'), [
    ('backbone', WithoutTakesText, r'forward of backbone \(WithoutTakesText\) wants text.*write `takes_text = True`'),
    ('neck', WithoutTakesText, r'forward of neck \(WithoutTakesText\) wants text.*write `takes_text = True`'),
    ('decode_head', WithoutTakesText, r'forward of decode_head \(WithoutTakesText\) wants text'),
    ('decode_head', WithoutPredict, r'decode_head \(WithoutPredict\) has no `predict`.*add `predict\(maps, text\)`'),
    ('decode_head', WithoutLoss, r'\(WithoutLoss\) has no `loss`.*add `loss\(maps, data_samples, train_cfg\)`'),
    ('decode_head', TextIsWelcome, None),
    ('neck', TextIsWelcome, None),
])
def test_parts_that_would_fail_when_called(tiny_config, part, kind, message):
    tiny_config[part] = dict(type=kind)
    if message is None:
        MODELS.build(tiny_config)
    else:
        with pytest.raises(InputError, match=message):
            MODELS.build(tiny_config)


def test_second_neck_that_would_fail_when_called(tiny_config):
    tiny_config.neck = [tiny_config.neck, dict(type=WithoutTakesText)]
    with pytest.raises(InputError, match=r'forward of neck\.1 \(WithoutTakesText\) wants text'):
        MODELS.build(tiny_config)
