"""CRIS's official weights in our model, against what the official code computes from them."""
import numpy as np
import pytest
import torch
from helpers.golden import golden_images, golden_weights, read_golden
from mmengine.config import Config
from torch import nn

import mmrefseg
from mmrefseg.models import TextFeatures
from mmrefseg.models.converters import convert_cris

PARTS = ('backbone.visual.conv1.weight', 'backbone.text_projection', 'neck.aggr.1.bias', 'decoder.norm.bias',
         'proj.txt.bias')


def tiny_config(sizes):
    """The config of CRIS at the sizes of the tiny golden file."""
    arch = dict(
        embed_dim=sizes['embed'],
        quick_gelu=True,
        text_cfg=dict(vocab_size=sizes['vocab'], width=sizes['tw'], heads=1, layers=sizes['tl']),
        vision_cfg=dict(layers=sizes['layers'], width=sizes['width'], image_size=sizes['res']))
    config = Config.fromfile(mmrefseg.config_path('cris_r101_refcoco'))
    config.model.text_encoder.arch = config.model.backbone.arch = arch
    config.merge_from_dict({
        'model.neck.in_channels': sizes['fpn_in'],
        'model.neck.channels': sizes['fpn_out'],
        'model.neck.sentence_channels': sizes['embed'],
        'model.decode_head.in_channels': sizes['vis'],
        'model.decode_head.text_channels': sizes['tw'],
        'model.decode_head.sentence_channels': sizes['embed'],
        'model.decode_head.ffn_channels': sizes['ffn'],
    })
    return config.model


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return model


@pytest.mark.parametrize(('name', 'prefix'), [('cris_tiny', ''), ('cris_r50', ''), ('cris_r101', 'module.')])
@torch.no_grad()
def test_golden(golden_folder, build_with, name, prefix):
    golden = read_golden(golden_folder / f'{name}.npz')
    seed, size, stride = (golden.meta[key] for key in ('seed', 'size', 'stride'))
    official = golden_weights(golden.meta['state_dict'], seed)
    config = (tiny_config(golden.meta['cfg']) if name == 'cris_tiny' else
              Config.fromfile(mmrefseg.config_path(f'{name}_refcoco')).model)
    model = build_with(config, convert_cris({prefix + name: official.pop(name) for name in [*official]}).weights)
    expected = golden.arrays
    ids, images = torch.from_numpy(expected.pop('tokens')), golden_images(2, size, size, seed)
    decoded = []
    model.decode_head.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(output))

    text = model.text_encoder(ids, ids != 0)

    def run(count):
        some = TextFeatures(*(x[:count] for x in text))
        maps = model.backbone(images[:count])
        neck, = model.neck(maps, some)
        return maps, neck, model.decode_head((neck, ), some)

    maps, neck, logits = run(len(expected['c3']))
    found = dict(zip(('c3', 'c4', 'c5'), maps, strict=True), neck=neck, decoder=decoded[0], logits=logits)
    found = {key: value[:, :4, ::stride, ::stride] for key, value in found.items()}
    found |= dict(words=text.tokens[..., :8], state=text.sentence)
    # The statistics of a batch are those of both images.
    without_dropout(model.train())
    masks = torch.from_numpy(np.random.RandomState(7).rand(2, 1, size, size) > 0.7)
    found['train_loss'] = model.decode_head.loss_by_feat(run(2)[-1], masks)['loss_ce']
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-4 * np.abs(value).max(), err_msg=key)


def test_what_is_dropped_is_said(golden_folder):
    shapes = read_golden(golden_folder / 'cris_tiny.npz').meta['state_dict']
    state = {f'module.{name}': torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    weights, dropped = convert_cris(dict(state_dict=state, optimizer={}, epoch=3))
    assert list(dropped.values()) == [['epoch', 'optimizer'], ['backbone.logit_scale']]
    assert len(weights) == len(shapes) - 1
    del state['module.backbone.logit_scale']
    assert convert_cris(state).dropped == {}


@pytest.mark.parametrize(('names', 'message'), [
    (PARTS[:-1], 'no checkpoint of CRIS.*nothing is there under proj$'),
    ((*PARTS, 'dinov2.norm.bias'), r'1 entries belong to none of them \(dinov2\.norm\.bias\)'),
])
def test_other_checkpoints_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        convert_cris({name: torch.zeros(3) for name in names})
