"""SegVLM put together of the segmentor's parts, at the tiny model's size and smaller."""
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

import mmrefseg
from mmrefseg.engine.optimizers import BFloat16OptimWrapper
from mmrefseg.registry import MODELS

ROWS = ('segvlm_tiny_refshapes', 'segvlm_tiny_raf-deformable_refshapes', 'segvlm_tiny_raf_refshapes',
        'segvlm_tiny_baseline_refshapes')


def build(name=ROWS[0], **changes):
    config = Config.fromfile(mmrefseg.config_path(name))
    config.merge_from_dict({f'model.{key.replace("__", ".")}': value for key, value in changes.items()})
    for part in ('text_encoder', 'backbone'):
        config.model[part].init_cfg = None
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def offsets(model):
    return {name: p for name, p in model.named_parameters() if 'conv_offset' in name}


@pytest.mark.parametrize('name', ROWS)
def test_every_row_of_the_ablation_trains(name, make_batch):
    model, data = build(name), make_batch(size=64)
    assert not any(p.any() for p in offsets(model).values())
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    logs = [model.train_step(data, optimizer) for _ in range(8)]
    assert logs[0].keys() == {'loss', 'decode.loss_ce' if 'baseline' in name else 'decode.loss_raf'}
    assert logs[-1]['loss'] < logs[0]['loss']
    model.parse_losses(model(**model.data_preprocessor(data, True), mode='loss'))[0].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]  # DDP would wait for them
    assert len(offsets(model)) == (4 if 'deformable' in name or name == ROWS[0] else 0)
    assert all(p.abs().max() > 1e-4 for p in offsets(model).values())
    assert [sample.pred_sem_seg.data.shape for sample in model.eval().test_step(data)] == [(1, 64, 64)] * 2


@pytest.mark.parametrize('dcn', ['DCN', 'DCNv2'])
@pytest.mark.parametrize('operator', ['mmcv', 'torch'])
def test_training_in_bfloat16(dcn, operator, make_batch):
    model = build(decode_head__projector__dcn=dcn, decode_head__projector__dcn_operator=operator)
    optimizer = BFloat16OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    logs = [model.train_step(make_batch(size=64), optimizer) for _ in range(4)]
    assert logs[-1]['loss'] < logs[0]['loss']
    assert all(p.abs().max() > 1e-4 for p in offsets(model).values())


def test_both_operators_give_the_same_answer(make_batch):
    model = build()
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    for _ in range(3):
        model.train_step(make_batch(size=64), optimizer)
    other = build(decode_head__projector__dcn_operator='mmcv')
    other.load_state_dict(model.state_dict())
    data = model.data_preprocessor(make_batch(size=64))
    one, two = model.eval()(**data), other.eval()(**data)
    assert (one - two).abs().max() < 1e-4 * one.abs().max()


def test_kaiming_is_for_new_convolutions_only():
    """All weights are set to a number first, as if CLIP's had been loaded: those of the encoders stay."""
    config = Config.fromfile(mmrefseg.config_path(ROWS[0]))
    model = MODELS.build(config.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if name.startswith(('text_encoder.', 'backbone.')):
            assert (parameter == 7).all(), name
        elif 'conv_offset' in name:
            assert not parameter.any(), name
        elif parameter.ndim == 4:
            fan_out = parameter.shape[0] * parameter.shape[2] * parameter.shape[3]
            assert parameter.std().item() == pytest.approx((2 / fan_out)**0.5, rel=0.15), name
