import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import mmrefseg
from mmrefseg.engine import MuonAdamW
from mmrefseg.engine.optimizers.muon_adamw import is_weight_matrix, orthogonalise
from mmrefseg.errors import InputError

LR, DECAY, MOMENTUM = 0.01, 0.1, 0.9


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(1000, 6), nn.Linear(6, 8), nn.Linear(8, 6), nn.Linear(6, 8), nn.LayerNorm(8),
                         nn.Unflatten(1, (8, 1, 1)), nn.Conv2d(8, 5, 3, padding=1))


def give_gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def by_hand(value, gradients):
    """Muon in NumPy, float64, one matrix at a time."""
    matrix, average = value.reshape(len(value), -1), 0
    for gradient in gradients:
        gradient = gradient.reshape(matrix.shape)
        average = MOMENTUM * average + (1 - MOMENTUM) * gradient
        x = MOMENTUM * average + (1 - MOMENTUM) * gradient
        x = x / np.sqrt((x**2).sum())
        for _ in range(5):
            outer = x @ x.T
            x = 3.4445 * x - 4.775 * outer @ x + 2.0315 * outer @ outer @ x
        matrix = matrix * (1 - LR * DECAY) - LR * 0.2 * np.sqrt(max(matrix.shape)) * x
    return matrix.reshape(value.shape)


@pytest.mark.parametrize('shape', [(4, 9, 9), (3, 6, 20), (2, 20, 6)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, values, vh = torch.linalg.svd(matrices, full_matrices=False)
    new = u.mT @ orthogonalise(matrices) @ vh.mT
    diagonal = new.diagonal(dim1=1, dim2=2)
    assert (new - torch.diag_embed(diagonal)).abs().max() < 1e-5
    assert diagonal[values > 0.1].min() > 0.6 and diagonal.max() < 1.25
    assert orthogonalise(torch.zeros(1, 3, 3)).eq(0).all()


@pytest.mark.parametrize(('shape', 'is_matrix'), [
    ((96, 288), True), ((96, 3, 7, 7), True), ((8, 4), True), ((8, 3), False), ((8, 3, 2, 2), True), ((96, ), False),
    ((), False), ((49408, 64), False), ((64, 1, 3, 3), False), ((1, 69, 96), False), ((3, 48, 1, 1), False)])
def test_what_is_a_weight_matrix(shape, is_matrix):
    assert is_weight_matrix(torch.empty(shape)) == is_matrix


def test_matrices_follow_muon_and_the_others_adamw():
    model, other = make_model(), make_model()
    ours = MuonAdamW(model.parameters(), lr=LR, weight_decay=DECAY, momentum=MOMENTUM)
    adamw = torch.optim.AdamW(other.parameters(), lr=LR, weight_decay=DECAY)
    start = {name: value.detach().numpy().astype(float) for name, value in model.named_parameters()}
    start, gradients = {name: value.copy() for name, value in start.items()}, []
    for seed in range(3):
        for each, optimizer in ((model, ours), (other, adamw)):
            give_gradients(each, seed)
            optimizer.step()
        gradients.append({name: value.grad.numpy().astype(float) for name, value in model.named_parameters()})
    names = {name for name, value in model.named_parameters() if is_weight_matrix(value)}
    assert names == {'1.weight', '2.weight', '3.weight', '6.weight'}
    for (name, value), reference in zip(model.named_parameters(), other.parameters(), strict=True):
        if name in names:
            expected = by_hand(start[name], [step[name] for step in gradients])
            np.testing.assert_allclose(value.detach().numpy(), expected, atol=1e-5)
        else:
            assert value.equal(reference)


@pytest.mark.skipif(not hasattr(torch.optim, 'Muon'), reason='PyTorch has it from version 2.9 on')
def test_matrices_move_as_with_pytorchs_muon():
    ours, theirs = (nn.Linear(24, 40, bias=False, dtype=torch.float32) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    first = ours.weight.detach().clone()
    optimizers = [MuonAdamW(ours.parameters(), lr=LR, weight_decay=DECAY),
                  torch.optim.Muon(theirs.parameters(), lr=LR, weight_decay=DECAY, adjust_lr_fn='match_rms_adamw')]
    for seed in range(3):
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            give_gradients(model, seed)
            optimizer.step()
    ours_moved, theirs_moved = ours.weight - first, theirs.weight - first
    assert (ours_moved - theirs_moved).norm() < 0.02 * theirs_moved.norm()  # theirs is computed in bfloat16


def test_each_group_has_its_own_learning_rate_and_frozen_parameters_stay():
    model = make_model()
    frozen = model[2].weight.detach().clone()
    optimizer = MuonAdamW([dict(params=model[1].parameters()), dict(params=model[3].parameters(), lr=0.02),
                           dict(params=model[2].parameters())], lr=0.01, weight_decay=0.0)
    model[3].load_state_dict(model[1].state_dict())
    before = model[1].weight.detach().clone()
    give_gradients(model, 0)
    model[3].weight.grad = model[1].weight.grad.clone()
    model[2].weight.grad = model[2].bias.grad = None
    optimizer.step()
    torch.testing.assert_close(model[3].weight - before, 2 * (model[1].weight - before))
    assert model[2].weight.equal(frozen)
    assert model[1].weight.grad is not None, 'gradients stay for who looks at them after the step'


def test_a_resumed_run_goes_on_bit_for_bit():
    runs = []
    for resumed in (False, True):
        model = make_model()
        optimizer = MuonAdamW(model.parameters(), lr=LR, weight_decay=DECAY)
        for seed in range(4):
            if resumed and seed == 2:
                state = optimizer.state_dict()
                optimizer = MuonAdamW(model.parameters(), lr=1.0)
                optimizer.load_state_dict(state)
            give_gradients(model, seed)
            optimizer.step()
        runs.append(list(model.parameters()))
    assert all(a.equal(b) for a, b in zip(*runs, strict=True))


def test_configs_build_it():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        optimizer = dict(type='MuonAdamW', lr=LR, weight_decay=DECAY, fused=True)
        config = dict(type='BFloat16OptimWrapper', optimizer=optimizer,
                      paramwise_cfg=dict(norm_decay_mult=0.0))
        wrapper = build_optim_wrapper(make_model(), config)
        assert isinstance(wrapper.optimizer, MuonAdamW)
        assert {group['momentum'] for group in wrapper.optimizer.param_groups} == {0.95}
        config['optimizer']['momentum'] = 1.0
        with pytest.raises(InputError, match='momentum of MuonAdamW is 1'):
            build_optim_wrapper(make_model(), config)
