import pytest
from torch import nn

from mmrefseg.models.layers import apply_tuning


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
    with pytest.raises(ValueError, match="'bias'.*none, norm_bias, all"):
        apply_tuning(Encoder(), 'bias')
