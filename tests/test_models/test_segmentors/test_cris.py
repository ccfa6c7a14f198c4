"""CRIS put together of the segmentor's parts, at a size for tests."""
import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn
from torch.nn import SyncBatchNorm
from torch.utils.data import DataLoader

import mmrefseg
from mmrefseg.engine import CheckSetupHook
from mmrefseg.engine.optimizers import BFloat16OptimWrapper
from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS

ARCH = dict(
    embed_dim=24,
    quick_gelu=True,
    text_cfg=dict(context_length=8, vocab_size=49408, width=32, heads=2, layers=1),
    vision_cfg=dict(layers=[1, 1, 1, 1], width=8, image_size=64))


@pytest.fixture
def config() -> Config:
    config = Config.fromfile(mmrefseg.config_path('cris/cris_r101_refcoco.py'))
    for encoder in (config.model.text_encoder, config.model.backbone):
        encoder.arch, encoder.init_cfg = ARCH, None
    config.model.text_encoder.num_tokens = 8
    config.model.neck.update(in_channels=(64, 128, 24), channels=(16, 32, 48), sentence_channels=24)
    config.model.decode_head.update(
        in_channels=32, text_channels=32, sentence_channels=24, num_layers=1, num_heads=2, ffn_channels=48)
    return config


@pytest.mark.parametrize('wrapper', [OptimWrapper, BFloat16OptimWrapper])
def test_it_learns_a_batch(config, make_batch, wrapper):
    model = MODELS.build(config.model)
    batch = make_batch(size=64)
    optimizer = wrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    logs = [model.train_step(copy.deepcopy(batch), optimizer) for _ in range(25)]
    assert all(log['loss'].isfinite() for log in logs)
    assert logs[-1]['decode.loss_ce'] < 0.6 * logs[0]['decode.loss_ce']
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_encoders_at_a_tenth_of_the_learning_rate(config):
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    rates = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        encoder = name.startswith(('text_encoder.', 'backbone.'))
        assert rates[id(parameter)] == pytest.approx(1e-5 if encoder else 1e-4), name


def test_answers_and_conditions(config, make_batch):
    model = MODELS.build(config.model).eval()
    data = model.data_preprocessor(make_batch(size=64))
    with torch.no_grad():
        samples = model(**data, mode='predict')
        logits = [model(data['inputs'], token_ids=ids, token_mask=data['token_mask'])
                  for ids in (data['token_ids'], data['token_ids'].flip(0))]
    assert [sample.pred_sem_seg.data.shape for sample in samples] == [(1, 64, 64)] * 2
    assert logits[0].shape == (2, 1, 16, 16)
    assert not torch.allclose(*logits)


def test_every_parameter_has_a_gradient(config, make_batch):
    """Or DDP would wait for one."""
    model = MODELS.build(config.model)
    losses = model(**model.data_preprocessor(make_batch(size=64), training=True), mode='loss')
    assert losses.keys() == {'decode.loss_ce'}
    losses['decode.loss_ce'].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_a_neck_for_other_sentences_is_refused(config):
    config.model.neck.sentence_channels = 20
    with pytest.raises(ValueError, match=r'sentence_channels of neck \(CRISFPN\) is 20; it must be 24'):
        MODELS.build(config.model)


def test_a_batch_of_one_is_refused_in_training_only(config, make_batch):
    model = MODELS.build(config.model)
    one = make_batch(('red circle', ), size=64)
    with pytest.raises(InputError, match='CRISFPN got one sample to train on; it needs two'):
        model(**model.data_preprocessor(copy.deepcopy(one)), mode='loss')
    model.eval()
    assert model(**model.data_preprocessor(one), mode='loss')['decode.loss_ce'].isfinite()


@pytest.mark.parametrize(('samples', 'settings', 'message'), [
    (5, dict(batch_size=2), r'the last batch of train_dataloader has 1 of 2 samples; CRISFPN needs 2.*drop_last=True'),
    (5, dict(batch_size=2, drop_last=True), None),
    (5, dict(batch_size=3), None),
    (5, dict(batch_size=2, sampler=InfiniteSampler([0] * 5)), None),
    (4, dict(batch_size=1), r'batch_size of train_dataloader is 1; CRISFPN needs 2 samples'),
])
def test_dataloaders_that_give_a_batch_of_one(config, samples, settings, message):
    """Found out before the training, by the hook of all configs."""
    loader = DataLoader([0] * samples, **settings)
    model = MODELS.build(config.model)
    check = nullcontext() if message is None else pytest.raises(InputError, match=message)
    with check:
        CheckSetupHook(memory=False).before_train(SimpleNamespace(train_dataloader=loader, model=model))
    for other in (SyncBatchNorm.convert_sync_batchnorm(model), nn.BatchNorm1d(2)):
        CheckSetupHook(memory=False).before_train(SimpleNamespace(train_dataloader=loader, model=other))
