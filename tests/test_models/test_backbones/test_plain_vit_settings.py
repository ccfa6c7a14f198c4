"""Which settings PlainViT takes."""
import re

import pytest
import torch
from helpers.plain_vit import ADAPTER, make_tiny

from mmrefseg.models import PlainViT


@pytest.mark.parametrize('indices', [(0, 3), (0, 7), (0, -4), (0, 0), (2, -1)])
def test_impossible_maps(indices):
    said = f'out_indices of PlainViT is {indices}; it must be a list of blocks, 0 to 2 or, from the end, -1 to -3'
    with pytest.raises(ValueError, match=re.escape(said)):
        make_tiny(out_indices=indices)


def test_no_maps():
    with pytest.raises(ValueError, match=r'out_indices of PlainViT is \(\); it must be at least one block'):
        make_tiny(out_indices=())


def test_blocks_counted_from_the_end():
    indices = (0, -1)
    assert make_tiny(out_indices=indices).out_indices == [0, 2]
    assert indices == (0, -1)


@pytest.mark.parametrize('indices', [(0, 5), (0, -1), (1, 1), (True, ), 1])
def test_impossible_blocks_of_adapters(indices):
    said = re.escape(f'adapter.indices of PlainViT is {indices}; it must be a list of blocks, 0 to 2, each at')
    with pytest.raises(ValueError, match=said):
        make_tiny(adapter=dict(ADAPTER, indices=indices))


def test_without_indices_there_are_no_adapters():
    backbone = make_tiny(adapter=dict(ADAPTER, indices=()))
    assert not backbone.adapters
    assert not backbone.takes_text


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(num_heads=5), "cannot build for images of any size with the settings .*'num_heads': 5.*divisible by"),
    (dict(arch='vit_base_patch16_dinov3', img_size=32, num_heads=5), 'num_heads of PlainViT is 5; .* the 24 channels'),
    *((settings, f'timm cannot build .*{next(iter(settings))}') for settings in (
        dict(img_size=0), dict(reg_tokens=-1), dict(reg_tokens=1.5), dict(patch_size=0), dict(depth='three'),
        dict(number_of_heads=2))),
    (dict(depth=0), r'out_indices of PlainViT is \(0, 2\)'),
    (dict(arch='vit_base_patch16_rpn_224', img_size=32, adapter=ADAPTER), r'adapter\.indices .* ResPostBlock lacks'),
    (dict(adapter=dict(ADAPTER, num_heads=5)), 'num_heads of SERAAdapter is 5; .* divides the 16 channels'),
    (dict(tuning='some'), "tuning of PlainViT is 'some'; it must be one of 'none', 'norm_bias', 'all'"),
])
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make_tiny(**settings)


def test_it_says_the_widths_of_its_maps():
    assert make_tiny(out_indices=(0, -1)).out_channels == (24, 24)


@pytest.mark.parametrize('arch', ['huge', 'hf-hub:timm/vit_base_patch16_dinov3.lvd1689m'])
def test_unknown_architecture(arch):
    with pytest.raises(ValueError, match=f"arch of PlainViT is {arch!r}; it must be the name of a vision transformer"):
        PlainViT(arch)


@pytest.mark.parametrize(('arch', 'said'), [
    ('resnet18', "is 'resnet18', which timm cannot build for images of any size"),
    ('deit_tiny_distilled_patch16_224', 'a VisionTransformer or Eva of timm, which VisionTransformerDistilled is not'),
])
def test_other_architectures_of_timm(arch, said):
    with pytest.raises(ValueError, match=said):
        PlainViT(arch)


@pytest.mark.parametrize('name', ['pretrained', 'checkpoint_path', 'global_pool', 'num_classes'])
def test_settings_without_a_meaning(name):
    with pytest.raises(ValueError, match=f'no setting {name}'):
        make_tiny(**{name: True})


@pytest.mark.parametrize(('size', 'said'), [
    (30, '30 × 30 pixels; height and width must be multiples of 14, the patch size of PlainViT: 28 × 28'),
    ((28, 55), '28 × 55.*28 × 56'),
])
def test_sizes_that_patches_do_not_fill(size, said):
    with pytest.raises(ValueError, match=f'img_size of PlainViT is {said}'):
        make_tiny(img_size=size)
    height, width = (size, size) if isinstance(size, int) else size
    with pytest.raises(ValueError, match=f'the input, .*Letterbox.*, is {said}'):
        make_tiny()(torch.zeros(1, 3, height, width))
