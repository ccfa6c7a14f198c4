import copy
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmrefseg.errors import InputError
from mmrefseg.models.layers import Router
from mmrefseg.registry import MODELS
from mmrefseg.structures import cris_mask

FUSION = ('spatial', 'contextual', 'boundary', 'shape')
ROUTERS = {
    **{f'adapter.{i}': ('spatial', 'boundary') for i in (1, 2, 3)},
    **{f'fusion.{i}': FUSION for i in range(3)},
}


@pytest.fixture
def model(tiny_config):
    return MODELS.build(tiny_config).eval()


def prepare(model, data):
    return model.data_preprocessor(copy.deepcopy(data))


def routing_of(model, prepared):
    return model.extract_feat(prepared['inputs'], prepared['token_ids'], prepared['token_mask'])[2]


def test_tensor_mode(model, make_batch):
    prepared = prepare(model, make_batch())
    logits = model(**prepared)
    assert logits.shape == (2, 1, 16, 16)
    assert torch.equal(model(**prepared, mode='tensor'), logits)
    del prepared['data_samples']
    assert torch.equal(model(**prepared), logits)


def test_each_sample_by_itself(model, make_batch):
    """Nothing of a sample depends on what else is in its batch."""
    texts = ('red circle', 'the big blue square on the left')
    both = model(**prepare(model, make_batch(texts)))
    first = model(**prepare(model, make_batch(texts[:1])))
    torch.testing.assert_close(both[:1], first, atol=1e-4, rtol=1e-4)


def test_expression_and_image_matter(model, make_batch):
    prepared, other = prepare(model, make_batch()), prepare(model, make_batch(('green circle', 'a')))
    assert torch.equal(prepared['inputs'], other['inputs'])
    logits = model(**prepared)
    assert not torch.allclose(model(**other), logits)
    assert not torch.allclose(model(**{**prepared, 'inputs': prepared['inputs'].flip(3)}), logits)


def test_loss_mode(model, make_batch):
    prepared = prepare(model, make_batch())
    losses = model(**prepared, mode='loss')
    names = {'decode.loss_ce', 'decode.loss_dice', 'loss_router_z', 'loss_router_balance', 'loss_router_assignment'}
    assert set(losses) == names | {f'routing/{name}' for name in ROUTERS} | {'routing_entropy'}
    logits = model(**prepared)
    masks = torch.stack([sample.gt_sem_seg.data for sample in prepared['data_samples']])
    head = model.decode_head.loss_by_feat(logits, masks)
    assert all(torch.equal(losses[f'decode.{name}'], value) for name, value in head.items())


def test_routing_losses_sum_over_routers(model, make_batch):
    prepared = prepare(model, make_batch())
    for loss, weight in zip(model.routing_losses, (1e-3, 1e-2, 1e-1), strict=True):
        loss.loss_weight = weight
    losses, routing = model(**prepared, mode='loss'), routing_of(model, prepared)
    assert len(routing) == len(ROUTERS)
    z = 1e-3 * sum(info.logits.square().mean() for info in routing)
    torch.testing.assert_close(losses['loss_router_z'], z)
    loads = [info.weights.sum(0) for info in routing]
    balance = 1e-2 * sum(((load - load.mean())**2).mean() / load.mean()**2 for load in loads)
    torch.testing.assert_close(losses['loss_router_balance'], balance)
    shares = [-(info.weights * info.weights.log()).sum(1) / math.log(len(info.experts)) for info in routing]
    torch.testing.assert_close(losses['routing_entropy'], torch.stack(shares).mean())


def test_what_goes_to_the_log(model, make_batch):
    losses = model(**prepare(model, make_batch()), mode='loss')
    total, log = model.parse_losses(dict(losses))
    summed = [value for name, value in losses.items() if 'loss' in name]
    torch.testing.assert_close(total, sum(summed))
    assert set(log) == {'loss', 'routing_entropy', *(name for name in losses if 'loss' in name)}


def test_routing_statistics_beside_the_losses(tiny_config, make_batch):
    tiny_config.neck.top_k = 1
    tiny_config.neck.noise_std = 0
    model = MODELS.build(tiny_config)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0))
    data = make_batch(('a', 'b', 'c', 'd', 'e'))
    log = model.train_step(copy.deepcopy(data), optimizer)
    assert {name: tuple(experts) for name, experts in log.routing.items()} == ROUTERS
    assert not any(figures.requires_grad for experts in log.routing.values() for figures in experts.values())
    assert [name for name in log if name.startswith('routing')] == ['routing_entropy']
    for info in routing_of(model, prepare(model, data)):
        weights, chosen, most = torch.stack(list(log.routing[info.name].values()), dim=1)
        torch.testing.assert_close(weights, info.weights.mean(0), atol=1e-3, rtol=0)
        torch.testing.assert_close(chosen, info.chosen.float().mean(0))
        torch.testing.assert_close(most, info.first_choice().mean(0))
        torch.testing.assert_close(chosen.sum(), torch.tensor(1.0 if info.name.startswith('fusion') else 2.0))


def test_predict_mode(model, make_batch):
    data = make_batch()
    for sample, shape in zip(data['data_samples'], ((40, 70), (30, 20)), strict=True):
        scale = 56 / max(shape)
        offset = [(56 - scale * side) / 2 for side in shape]
        matrix = np.array([[scale, 0, offset[1]], [0, scale, offset[0]]])
        sample.set_metainfo(dict(ori_shape=shape, warp_matrix=matrix))
    prepared = prepare(model, data)
    logits = model(**prepared)
    samples = model(**prepared, mode='predict')
    for sample, sample_logits, shape in zip(samples, logits, ((40, 70), (30, 20)), strict=True):
        mask = sample.pred_sem_seg.data
        assert mask.shape == (1, *shape)
        assert mask.dtype == torch.uint8
        assert torch.equal(sample.seg_logits.data, sample_logits)
        expected = cris_mask(sample_logits[0], (56, 56), sample.warp_matrix, shape, 0.35)
        assert torch.equal(mask[0].bool(), expected)
    assert [sample.text for sample in samples] == [sample.text for sample in data['data_samples']]


@pytest.mark.parametrize(('threshold', 'share'), [(None, 1.0), (0.45, 0.0), (0.39, 1.0)])
def test_threshold(tiny_config, make_batch, monkeypatch, threshold, share):
    tiny_config.test_cfg = None if threshold is None else dict(threshold=threshold)
    model = MODELS.build(tiny_config).eval()
    constant = torch.full((2, 1, 16, 16), float(torch.tensor(0.4).logit()))
    monkeypatch.setattr(model.decode_head, 'predict', lambda maps, text: constant)
    for sample in model.test_step(make_batch()):
        assert sample.pred_sem_seg.data[:, 2:-2, 2:-2].float().mean() == share


def test_predictions_lie_where_the_logits_are(model, make_batch, monkeypatch):
    """A block of positive logits must come back at the same place of an original twice as large."""
    logits = torch.full((1, 1, 14, 14), -20.0)
    logits[:, :, 2:6, 8:12] = 20
    monkeypatch.setattr(model.decode_head, 'predict', lambda maps, text: logits)
    data = make_batch(('a', ))
    data['data_samples'][0].set_metainfo(dict(ori_shape=(112, 112), warp_matrix=np.eye(2, 3) / 2))
    mask = model.test_step(data)[0].pred_sem_seg.data[0]
    rows, columns = mask.nonzero().float().mean(0).tolist()
    assert rows == pytest.approx(3.5 / 13 * 111, abs=1.5)
    assert columns == pytest.approx(9.5 / 13 * 111, abs=1.5)
    assert mask.sum() == pytest.approx(34 * 34, rel=0.2)


def test_unknown_mode(model, make_batch):
    with pytest.raises(ValueError, match=r"'losses'.*'tensor', 'loss' or 'predict'"):
        model(**prepare(model, make_batch()), mode='losses')


def test_names_of_routers_are_unique(model):
    names = [module.name for module in model.modules() if isinstance(module, Router)]
    assert sorted(names) == sorted(ROUTERS)
    assert model.experts == ROUTERS


def test_routers_of_two_necks_are_told_apart(tiny_config, make_batch):
    """The one neck's names stay where they are unique; the losses, too, are those of all routers."""
    second = dict(type='SERAFusion', in_channels=(64, ), channels=64, sentence_channels=64, num_heads=2, top_k=2)
    tiny_config.neck = [tiny_config.neck, second]
    tiny_config.routing_losses = [dict(type='RouterZLoss', loss_weight=1.0)]
    model = MODELS.build(tiny_config)
    necks = ['fusion.1', 'fusion.2', 'neck.0.mixtures.0', 'neck.1.mixtures.0']
    names = ['adapter.1', 'adapter.2', 'adapter.3', *necks]
    assert sorted(model.experts) == names
    prepared = prepare(model, make_batch())
    routing = routing_of(model, prepared)
    assert sorted(info.name for info in routing) == names
    losses = model.eval()(**prepared, mode='loss')
    assert sorted(name for name in losses if name.startswith('routing/')) == [f'routing/{name}' for name in names]
    routing = routing_of(model, prepared)
    torch.testing.assert_close(losses['loss_router_z'], sum(info.logits.square().mean() for info in routing))
    log = model.train_step(make_batch(), OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0)))
    assert {name: tuple(log.routing[name]) for name in necks} == dict.fromkeys(necks, FUSION)
    assert sum(log.routing['neck.0.mixtures.0'].values())[1] == 4
    assert sum(log.routing['neck.1.mixtures.0'].values())[1] == 2


def test_logits_of_three_channels(model, make_batch, monkeypatch):
    monkeypatch.setattr(model.decode_head, 'predict', lambda maps, text: torch.zeros(2, 3, 4, 4))
    with pytest.raises(InputError, match='channels that decode_head gives is 3; it must be 1, or 2'):
        model.test_step(make_batch())


def snapshot(model):
    """Attributes of every module, their containers' contents included."""
    state = {}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ('_parameters', '_buffers'):
                state.update({(path, name, key): id(tensor) for key, tensor in value.items()})
            else:
                assert not isinstance(value, torch.Tensor)
                state[path, name] = id(value) if isinstance(value, nn.Module | dict | list) else value
    return state


def test_no_module_keeps_a_batchs_state(tiny_config, make_batch):
    model = MODELS.build(tiny_config)
    data = make_batch(('red circle', 'blue square'))
    before = snapshot(model)
    model(**prepare(model, data), mode='loss')
    model(**prepare(model, data), mode='predict')
    assert snapshot(model) == before


def test_a_copy_is_whole(model, make_batch):
    twin = copy.deepcopy(model)
    assert twin.data_preprocessor.tokenize.__self__ is twin.text_encoder
    assert torch.equal(twin(**prepare(twin, make_batch())), model(**prepare(model, make_batch())))


def test_builds_without_a_default_scope(tiny_config, monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    assert DefaultScope.get_current_instance() is None
    MODELS.build(tiny_config)


def test_without_neck_and_routing(tiny_config, make_batch):
    tiny_config.pop('neck')
    tiny_config.routing_losses = []
    tiny_config.backbone.pop('adapter')
    tiny_config.decode_head.in_channels = 96
    model = MODELS.build(tiny_config)
    log = model.train_step(make_batch(), OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))
    assert set(log) == {'loss', 'decode.loss_ce', 'decode.loss_dice'}
    assert log.routing == {}
