import copy

import pytest
import torch
from torch import nn

from mmrefseg.models.layers import apply_tuning
from mmrefseg.models.layers.tuning import TunedEncoder


class Encoder(nn.Module):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2)
        self.block = nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2, bias=False), nn.MultiheadAttention(2, 1))
        self.new = nn.Linear(2, 2)


NORM_BIAS = {
    'linear.bias', 'norm.weight', 'norm.bias', 'block.0.weight', 'block.0.bias', 'block.2.in_proj_bias',
    'block.2.out_proj.bias'
}
NEW = {'new.weight', 'new.bias'}


@pytest.mark.parametrize(('tuning', 'expected'), [
    ('none', NEW),
    ('norm_bias', NORM_BIAS | NEW),
    ('all', {name for name, _ in Encoder().named_parameters()}),
])
def test_modes(tuning, expected):
    encoder = Encoder()
    apply_tuning(encoder, tuning, (encoder.new, ))
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == expected


def test_modes_can_be_changed_back():
    encoder = Encoder()
    for tuning in ('none', 'all'):
        apply_tuning(encoder, tuning)
        assert all(p.requires_grad is (tuning == 'all') for p in encoder.parameters())


def test_unknown_mode():
    with pytest.raises(ValueError, match="tuning of Encoder is 'bias'; it must be one of 'none', 'norm_bias', 'all'"):
        apply_tuning(Encoder(), 'bias')


class Tuned(TunedEncoder):
    """Dropout and batch statistics in the pretrained part and in the new one."""

    def __init__(self, tuning):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.LayerNorm(4))
        self.adapter = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.last = nn.Linear(4, 4)
        self.set_tuning(tuning)

    def new_parts(self):
        return (self.adapter, )

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.adapter(x))


def modes(encoder):
    return {part: {module.training for module in getattr(encoder, part).modules()}
            for part in ('first', 'adapter', 'last')}


@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_only_what_trains_is_in_training_mode(tuning):
    encoder = Tuned(tuning)
    expected = {'first': {tuning == 'all'}, 'adapter': {True}, 'last': {tuning == 'all'}}
    assert modes(encoder) == expected
    assert encoder.eval() is encoder
    assert modes(encoder) == {part: {False} for part in expected}
    assert encoder.train() is encoder
    assert modes(encoder) == expected
    assert modes(nn.Sequential(encoder).eval().train()[0]) == expected


def test_a_change_of_tuning_changes_the_modes():
    encoder = Tuned('none')
    encoder.set_tuning('norm_bias')
    assert modes(encoder) == {'first': {False}, 'adapter': {True}, 'last': {False}}
    with pytest.raises(ValueError, match="'some'"):
        encoder.set_tuning('some')
    assert encoder.tuning == 'norm_bias'


TRAINED = {
    'none': set(),
    'norm_bias': {'first.0.bias', 'first.1.bias', 'first.3.weight', 'first.3.bias', 'last.bias'},
    'all': {'first.0.weight', 'first.0.bias', 'first.1.weight', 'first.1.bias', 'first.1.running_mean',
            'first.1.running_var', 'first.1.num_batches_tracked', 'first.3.weight', 'first.3.bias', 'last.weight',
            'last.bias'},
}


@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_what_is_frozen_stays_the_same_bit_for_bit(tuning):
    encoder = Tuned(tuning)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=0.1)
    before = copy.deepcopy(encoder.state_dict())
    for _ in range(3):
        encoder.train()
        encoder(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in changed if not name.startswith('adapter.')} == TRAINED[tuning]
    assert {name for name in before if name.startswith('adapter.')} <= changed


def test_nothing_is_kept_ahead_of_what_trains(count_saved):
    encoder, x = Tuned('none').eval(), torch.randn(8, 4)
    assert count_saved(lambda: encoder.first(x), encoder) == 0
    assert count_saved(lambda: encoder(x), encoder) > 0
    assert not encoder.first(x).requires_grad
    assert count_saved(lambda: Tuned('norm_bias').first(x), encoder) > 0
