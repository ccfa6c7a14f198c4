"""DETRIS's official weights in our model, against what the official code computes from them."""
import numpy as np
import pytest
import torch
from helpers.golden import golden_images, golden_weights, read_golden
from mmengine.config import Config

import mmrefseg
from mmrefseg.models.converters import convert_detris

PARTS = ('txt_backbone.a.b', 'dinov2.norm.bias', 'neck.txt_proj.bias', 'decoder.norm.bias', 'proj.txt.bias')


@pytest.mark.parametrize(('name', 'config', 'prefix'), [
    ('detris_b', 'detris_dinov2_refcoco', 'module.'),
    ('detris_l', 'detris_dinov2-large_refcoco', ''),
])
def test_golden(golden_folder, build_with, name, config, prefix):
    golden = read_golden(golden_folder / f'{name}.npz')
    official = golden_weights(golden.meta['state_dict'], golden.meta['seed'])
    model = build_with(
        Config.fromfile(mmrefseg.config_path(config)).model,
        convert_detris({prefix + name: official.pop(name) for name in [*official]}).weights)
    ids = torch.from_numpy(golden.arrays.pop('tokens'))
    images = golden_images(len(ids), golden.meta['size'], golden.meta['size'], golden.meta['seed'])
    decoded = []
    model.decode_head.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(output))
    with torch.no_grad():
        text = model.text_encoder(ids, ids != 0)
        maps = model.backbone(images, text)
        neck, = model.neck(maps, text)
        logits = model.decode_head((neck, ), text)
    stride = golden.meta['stride']
    found = dict(zip(('f1', 'f2', 'f3'), maps, strict=True), neck=neck, decoder=decoded[0], logits=logits)
    found = {key: value[:, :4, ::stride, ::stride] for key, value in found.items()}
    found |= dict(words=text.tokens[..., :8], state=text.sentence)
    assert found.keys() == golden.arrays.keys()
    for key, expected in golden.arrays.items():
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=key)


def test_what_is_dropped_is_said(golden_folder):
    shapes = read_golden(golden_folder / 'detris_b.npz').meta['state_dict']
    state = {f'module.{name}': torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    weights, dropped = convert_detris(dict(state_dict=state, optimizer={}, epoch=3))
    state, unused, biases, cut = dropped.values()
    assert state == ['epoch', 'optimizer']
    assert unused == ['txt_backbone.logit_scale', 'dinov2.mask_token']
    assert len(biases) == 2 * 6 * 5  # two encoders, six adapters each, five convolutions each
    assert all(name.endswith('.conv.bias') for name in biases)
    assert cut == [f'neck.fusion{i}.multihead_attn.in_proj_{kind}' for i in (3, 4, 5) for kind in ('weight', 'bias')]
    assert len(weights) == len(shapes) - len(unused) - len(biases)


@pytest.mark.parametrize(('names', 'message'), [
    (PARTS[:-1], 'no checkpoint of DETRIS.*nothing is there under proj$'),
    ((*PARTS, 'backbone.ln1.bias'), r'1 entries belong to none of them \(backbone\.ln1\.bias\)'),
    (('weight', 'bias'), r'nothing is there under txt_backbone, dinov2, .*2 entries .* \(weight, bias\)'),
])
def test_other_checkpoints_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        convert_detris({name: torch.zeros(3) for name in names})


def test_things_that_are_no_tensors_are_refused():
    with pytest.raises(ValueError, match=r'proj\.txt\.bias'):
        convert_detris({**{name: torch.zeros(3) for name in PARTS}, 'proj.txt.bias': 3})


def test_a_bias_without_its_normalisation_stays():
    names = (*PARTS, 'dinov2.blocks.1.adapter.dense_branch1.conv.bias')
    weights = convert_detris({name: torch.ones(3) for name in names}).weights
    assert 'backbone.adapters.1.branches.branch1.conv.bias' in weights
