import hashlib
from copy import deepcopy

import pytest
import torch
from helpers.toy_pretrained import ToyPretrainedModel, save_toy_weights
from torch import nn

from mmrefseg.checkpoints.trained_only import (
    add_frozen_weights,
    base_digests,
    digest,
    digests,
    is_delta,
    remove_frozen_weights,
)
from mmrefseg.registry import MODELS

FROZEN = ['backbone.linear.weight', 'backbone.norm.bias', 'backbone.norm.num_batches_tracked',
          'backbone.norm.running_mean', 'backbone.norm.running_var', 'backbone.norm.weight', 'backbone.scale']


@pytest.fixture
def config(tmp_path):
    return dict(type='mmrefseg.ToyPretrainedModel', checkpoint=save_toy_weights(tmp_path / 'toy.pth'))


@pytest.fixture
def model(config):
    model = ToyPretrainedModel(config['checkpoint'])
    model.init_weights()
    return model


@pytest.fixture
def delta(model, config):
    checkpoint = dict(meta={}, state_dict=model.state_dict())
    remove_frozen_weights(checkpoint, model, base_digests(config))
    return checkpoint


def test_digest_by_hand():
    content = b'a.b torch.int16 (2, 1)\n' + bytes([1, 0, 2, 1])
    assert digest('a.b', torch.tensor([[1], [258]], dtype=torch.int16)) == hashlib.sha256(content).hexdigest()


def test_digest_tells_apart():
    value = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    others = [value.view(4), value.view(torch.int32), value.double(), value.t(), value + 1e-6, -value]
    assert len({digest('a', value), digest('b', value), *(digest('a', other) for other in others)}) == 8
    assert digest('a', torch.tensor(0.0)) != digest('a', torch.tensor(-0.0))


@pytest.mark.parametrize('value', [
    torch.tensor(3), torch.zeros(0, 4), torch.ones(2, 3, dtype=torch.bfloat16), torch.tensor([True, False]),
    torch.arange(6.0).view(2, 3).t(), nn.Parameter(torch.ones(2)), torch.arange(4.0)[1:3],
])
def test_digest_of_any_tensor(value):
    assert digest('a', value) == digest('a', value.detach().clone(memory_format=torch.contiguous_format))


def test_base_is_what_is_found_again(config):
    state = torch.random.get_rng_state()
    first = base_digests(config)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(1)
    second = base_digests(config)
    assert {name for name in first if first[name] == second[name]} == {*FROZEN, 'backbone.linear.bias'}
    assert config.keys() == {'type', 'checkpoint'}


@MODELS.register_module(force=True)
class TakingModel(ToyPretrainedModel):
    """Takes its settings out of the config."""

    def __init__(self, settings):
        super().__init__(settings.pop('checkpoint'))


def test_the_config_is_left_alone(config):
    config = dict(type='mmrefseg.TakingModel', settings=dict(checkpoint=config['checkpoint']))
    assert base_digests(config).keys() == base_digests(config).keys()


def test_hash_of_a_part_by_hand(model, delta):
    state = model.state_dict()
    expected = hashlib.sha256(''.join(digest(name, state[name]) for name in FROZEN).encode()).hexdigest()
    assert delta['meta']['base'] == {
        'backbone': dict(sha256=expected, files=[model.backbone.init_cfg['checkpoint']], names=FROZEN)}
    assert delta['state_dict'].keys() == {'backbone.linear.bias', 'head.1.weight', 'head.1.bias'}


@pytest.mark.parametrize('changed', ['backbone.norm.running_mean', 'backbone.scale', 'backbone.linear.weight'])
def test_what_changed_is_kept(model, config, changed):
    base = base_digests(config)
    model.state_dict()[changed].add_(1e-3)
    checkpoint = dict(meta={}, state_dict=model.state_dict())
    remove_frozen_weights(checkpoint, model, base)
    assert changed in checkpoint['state_dict']
    assert set(checkpoint['meta']['base']['backbone']['names']) == {*FROZEN} - {changed}


def test_what_only_the_averaged_copy_changed_is_kept(model, config):
    averaged = {f'module.{name}': value.clone() for name, value in model.state_dict().items()}
    averaged['module.backbone.scale'] += 1
    checkpoint = dict(meta={}, state_dict=model.state_dict(), ema_state_dict={'steps': torch.tensor(1), **averaged})
    remove_frozen_weights(checkpoint, model, base_digests(config))
    assert 'backbone.scale' in checkpoint['state_dict']
    kept = {f'module.{name}' for name in checkpoint['state_dict']}
    assert checkpoint['ema_state_dict'].keys() == {'steps', *kept}
    add_frozen_weights(checkpoint, model, 'a.pth')
    assert checkpoint['ema_state_dict'].keys() == {'steps', *averaged}


def test_completing_gives_everything_back(model, config, delta):
    fresh = ToyPretrainedModel(config['checkpoint'])
    add_frozen_weights(delta, fresh, 'a.pth')
    assert not is_delta(delta)
    state = model.state_dict()
    assert delta['state_dict'].keys() == state.keys()
    assert all(torch.equal(delta['state_dict'][name], state[name]) for name in state)


@pytest.mark.parametrize('checkpoint', [
    {'weight': torch.ones(1)}, {'meta': 'text', 'state_dict': {}}, {'meta': {}, 'state_dict': {}},
    {'meta': {'base': {}}, 'state_dict': {}}])
def test_full_checkpoints_are_left_alone(checkpoint):
    expected = deepcopy(checkpoint)
    add_frozen_weights(checkpoint, ToyPretrainedModel('nowhere.pth'), 'a.pth')
    assert checkpoint == expected


def test_modules_that_are_not_mmengines(model, delta):
    plain = nn.Module()
    plain.backbone, plain.head = model.backbone, model.head
    add_frozen_weights(delta, plain, 'a.pth')
    assert not is_delta(delta)


@pytest.mark.parametrize('damage', [
    lambda base: base.update(backbone=3), lambda base: base['backbone'].pop('names'),
    lambda base: base['backbone'].update(names=[1]), lambda base: base['backbone'].update(sha256=b'0')])
def test_damaged(model, delta, damage):
    damage(delta['meta']['base'])
    with pytest.raises(ValueError, match=r'a\.pth is damaged'):
        add_frozen_weights(delta, model, 'a.pth')


def test_without_state_dict(model, delta):
    del delta['state_dict']
    with pytest.raises(ValueError, match=r'a\.pth is damaged'):
        add_frozen_weights(delta, model, 'a.pth')


def test_another_architecture(delta, model):
    del model.backbone.norm
    with pytest.raises(ValueError, match=r'the model has no backbone\.norm\.bias \(5 such weights\)'):
        add_frozen_weights(delta, model, 'a.pth')


def test_all_wrong_parts_are_named(config, model, delta):
    base = delta['meta']['base']
    base['text_encoder'] = dict(base['backbone'], sha256='0' * 64, files=[])
    base['backbone']['sha256'] = 'f' * 64
    with pytest.raises(ValueError) as caught:
        add_frozen_weights(delta, model, 'a.pth')
    assert f'backbone was trained upon frozen weights with SHA-256 {"f" * 64} (from {config["checkpoint"]})' in str(
        caught.value)
    assert f'text_encoder was trained upon frozen weights with SHA-256 {"0" * 64} (from no pretrained file)' in str(
        caught.value)
    assert is_delta(delta), 'nothing was changed'


def test_shared_parameters(config):
    model = ToyPretrainedModel(config['checkpoint'])
    model.init_weights()
    model.head[1].register_parameter('other', model.backbone.linear.bias)
    checkpoint = dict(meta={}, state_dict=model.state_dict())
    remove_frozen_weights(checkpoint, model, digests(model.state_dict()))
    assert {'backbone.linear.bias', 'head.1.other'} <= checkpoint['state_dict'].keys()


@pytest.mark.parametrize('place', ['model', 'list'])
def test_files_are_named_wherever_the_config_has_them(config, place):
    model = ToyPretrainedModel()
    pretrained = dict(type='Pretrained', checkpoint='given.pth')
    if place == 'model':
        model.init_cfg = pretrained
    else:
        model.backbone.linear.init_cfg = [dict(type='Constant', layer='Linear', val=0), pretrained]
    checkpoint = dict(meta={}, state_dict=model.state_dict())
    remove_frozen_weights(checkpoint, model, digests(model.state_dict()))
    assert checkpoint['meta']['base']['backbone']['files'] == ['given.pth']
