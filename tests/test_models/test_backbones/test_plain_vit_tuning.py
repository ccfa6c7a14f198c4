"""Which parts of PlainViT train, run and keep activations."""
import copy

import pytest
import torch
from helpers.plain_vit import ADAPTER, DINOV3, make_tiny


@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_modes(tuning):
    backbone = make_tiny(adapter=ADAPTER, tuning=tuning)
    for mode in (True, False):
        assert backbone.train(mode) is backbone
        assert {module.training for module in backbone.tower.modules()} == {mode and tuning == 'all'}
        assert {module.training for module in backbone.adapters.modules()} == {mode}


@pytest.mark.parametrize('tuning', ['none', 'norm_bias'])
def test_what_is_frozen_stays_the_same_bit_for_bit(make_text, tuning):
    backbone = make_tiny(adapter=ADAPTER, tuning=tuning, drop_path_rate=0.5)
    before = copy.deepcopy(backbone.state_dict())
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=0.01, weight_decay=0.1)
    text = make_text(12)
    for _ in range(3):
        backbone.train()
        sum(x.square().sum() for x in backbone(torch.randn(2, 3, 28, 42), text)).backward()
        optimizer.step()
    frozen = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    changed = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert 'tower.blocks.1.attn.qkv.weight' in frozen
    assert not changed & frozen
    assert 'adapters.0.mixture.experts.spatial.norm.running_mean' in changed
    assert ('tower.blocks.0.norm1.weight' in changed) is (tuning == 'norm_bias')


def test_a_frozen_backbone_keeps_nothing(count_saved):
    backbone = make_tiny(tuning='none').train()
    assert count_saved(lambda: backbone(torch.randn(2, 3, 28, 42)), backbone) == 0
    assert not any(x.requires_grad for x in backbone(torch.randn(2, 3, 28, 42)))


def test_nothing_is_kept_ahead_of_the_first_adapter(count_saved, make_text):
    x, text = torch.randn(2, 3, 56, 56), make_text(12)

    def count(tuning, block):
        backbone = make_tiny(tuning=tuning, adapter=dict(ADAPTER, indices=(block, ))).train()
        return count_saved(lambda: backbone(x, text), backbone)

    late, early, norm_bias, everything = count('none', 2), count('none', 0), count('norm_bias', 0), count('all', 0)
    token = 2 * (1 + 4 + 16) * 4
    # A frozen block keeps the input of each norm and of the activation, and queries, keys, values and the output of
    # the attention; the last block's attention lies behind an early adapter, but ahead of a late one.
    assert early - late >= 2 * token * (6 * 24 + 48)
    # norms and biases train from the first layer on, at the same cost a block
    assert norm_bias - early >= token * (6 * 24 + 48)
    # where the matrices train, their inputs are kept too
    assert everything - norm_bias >= 3 * token * (3 * 24 + 48)


@pytest.mark.parametrize('family', [{}, DINOV3])
@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_whatever_trains_has_a_gradient_when_the_tuning_is_changed_later(tuning, family):
    """DDP would wait for the others: what lies behind the last map neither runs nor trains, nor is there at all."""
    backbone = make_tiny(**family, out_indices=(0, 1), tuning='none').train()
    backbone.set_tuning(tuning)
    maps = backbone(torch.randn(1, 3, backbone.patch_size, backbone.patch_size))
    if tuning != 'none':
        sum(x.square().sum() for x in maps).backward()
    assert {name for name, p in backbone.named_parameters() if p.requires_grad} == {
        name for name, p in backbone.named_parameters() if p.grad is not None}
    assert len(backbone.tower.blocks) == 2
    assert not [*backbone.tower.norm.parameters()]


def test_adapters_behind_the_last_map():
    with pytest.raises(ValueError, match=r'adapter\.indices of PlainViT is \(0, 2\); it must be blocks up to 1: the '):
        make_tiny(out_indices=(0, 1), adapter=ADAPTER)
