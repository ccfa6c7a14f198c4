"""DETRIS put together of the segmentor's parts, at the tiny model's size."""
import pytest
import torch

from mmrefseg.models import ReferringSegmentor
from mmrefseg.registry import MODELS


@pytest.fixture
def model(tiny_config) -> ReferringSegmentor:
    tiny_config.backbone.adapter.type = 'DETRISAdapter'
    tiny_config.backbone.tuning = tiny_config.text_encoder.tuning = 'none'
    tiny_config.neck.experts = ()
    tiny_config.routing_losses = []
    return MODELS.build(tiny_config)


def test_training(model, make_batch):
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    for _ in range(2):
        losses = model(**model.data_preprocessor(make_batch(), training=True), mode='loss')
        assert losses.keys() == {'decode.loss_ce', 'decode.loss_dice'}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        # DDP waits for every parameter
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        optimizer.step()
    assert all(p.grad.any() for adapters in (model.backbone.adapters, model.text_encoder.adapters)
               for p in adapters.parameters() if p.ndim > 1)
    assert frozen
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if name in frozen)


def test_no_routing_is_logged(model, make_batch):
    data = model.data_preprocessor(make_batch())
    assert model.extract_feat(data['inputs'], data['token_ids'], data['token_mask'])[2] == ()
    losses = model(**model.data_preprocessor(make_batch(), training=True), mode='loss')
    assert model.parse_losses(losses)[1].keys() == {'decode.loss_ce', 'decode.loss_dice', 'loss'}
