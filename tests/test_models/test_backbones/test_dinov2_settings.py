"""Which settings DINOv2 takes."""
import re

import pytest
import torch

from mmrefseg.errors import UserError
from mmrefseg.models import DINOv2

TINY = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=48)
ADAPTER = dict(type='SERAAdapter', indices=(0, 2), text_channels=12, channels=16, num_heads=2)


def make_tiny(**kwargs):
    return DINOv2(**{'arch': TINY, 'img_size': 28, 'out_indices': (0, 2), **kwargs})


@pytest.mark.parametrize('indices', [(0, 3), (0, 7), (0, -4), (0, 0), (2, -1)])
def test_impossible_maps(indices):
    said = f'out_indices of DINOv2 is {indices}; it must be a list of blocks, 0 to 2 or, from the end, -1 to -3'
    with pytest.raises(ValueError, match=re.escape(said)):
        make_tiny(out_indices=indices)


def test_no_maps():
    with pytest.raises(ValueError, match=r'out_indices of DINOv2 is \(\); it must be at least one block'):
        make_tiny(out_indices=())


def test_blocks_counted_from_the_end():
    indices = (0, -1)
    assert make_tiny(out_indices=indices).out_indices == [0, 2]
    assert indices == (0, -1)


@pytest.mark.parametrize('indices', [(0, 5), (0, -1), (1, 1), (True, ), 1])
def test_impossible_blocks_of_adapters(indices):
    said = re.escape(f'adapter.indices of DINOv2 is {indices}; it must be a list of blocks, 0 to 2, each at most once')
    with pytest.raises(ValueError, match=said):
        make_tiny(adapter=dict(ADAPTER, indices=indices))


def test_without_indices_there_are_no_adapters():
    backbone = make_tiny(adapter=dict(ADAPTER, indices=()))
    assert not backbone.adapters
    assert not backbone.takes_text


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(num_registers=-1), 'num_registers of DINOv2 is -1; it must be a whole number, 0 or larger'),
    (dict(num_registers=1.5), r'num_registers of DINOv2 is 1\.5; '),
    (dict(out_indices=(0, 1.0)), r'out_indices of DINOv2 is \(0, 1\.0\); it must be a list with a whole number'),
    (dict(out_indices=2), 'out_indices of DINOv2 is 2; it must be a list with a whole number each'),
    (dict(patch_size=0), 'patch_size of DINOv2 is 0; it must be a whole number, 1 or larger'),
    (dict(arch=dict(TINY, num_heads=5)), r'arch\.num_heads of DINOv2 is 5; .* divides the 24 channels'),
    (dict(adapter=dict(ADAPTER, num_heads=5)), 'num_heads of SERAAdapter is 5; .* divides the 16 channels'),
    (dict(tuning='some'), "tuning of DINOv2 is 'some'; it must be one of 'none', 'norm_bias', 'all'"),
])
def test_impossible_settings(settings, message):
    with pytest.raises(UserError, match=message):
        make_tiny(**settings)


def test_it_says_the_widths_of_its_maps():
    assert make_tiny(out_indices=(0, -1)).out_channels == (24, 24)


def test_unknown_architecture():
    with pytest.raises(ValueError, match="arch of DINOv2 is 'huge'; it must be one of small, base, large, giant, or a"):
        DINOv2('huge')
    with pytest.raises(ValueError, match='a dict of embed_dims, num_layers, num_heads, feedforward_channels'):
        DINOv2(dict(embed_dims=24, num_layers=3, num_heads=2))


@pytest.mark.parametrize('name', ['frozen_stages', 'final_norm', 'with_cls_token'])
def test_settings_without_a_meaning(name):
    with pytest.raises(ValueError, match=f'no setting {name}'):
        make_tiny(**{name: True})


@pytest.mark.parametrize(('size', 'said'), [
    (30, '30 × 30 pixels; height and width must be multiples of 14, the patch_size of DINOv2: 28 × 28'),
    ((28, 55), '28 × 55.*28 × 56'),
    (0, '0 × 0.*14 × 14'),
])
def test_sizes_that_patches_do_not_fill(size, said):
    with pytest.raises(ValueError, match=f'img_size of DINOv2 is {said}'):
        make_tiny(img_size=size)
    height, width = (size, size) if isinstance(size, int) else size
    with pytest.raises(ValueError, match=f'the input, .*Letterbox.*, is {said}'):
        make_tiny()(torch.zeros(1, 3, height, width))
