"""Equality with timm's own models of the same weights, for each kind of plain vision transformer."""
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mmrefseg.models import PlainViT

SMALL = dict(embed_dim=32, depth=3, num_heads=2)
ADAPTER = dict(type='SERAAdapter', indices=(0, 1, 2), text_channels=12, channels=16, num_heads=2)
ARCHS = {
    'vit_base_patch14_reg4_dinov2': 14,
    'vit_base_patch14_dinov2': 14,
    'vit_giant_patch14_reg4_dinov2': 14,
    'vit_base_patch16_dinov3': 16,
    'vit_small_plus_patch16_dinov3': 16,
    'vit_base_patch16_siglip_512': 16,
    'vit_base_patch16_clip_quickgelu_224': 16,
    'deit3_base_patch16_224': 16,
    'eva02_base_patch14_224': 14,
    'vit_base_patch16_rope_mixed_224': 16,
}


def reference_and_ours(path, arch, **kwargs):
    """timm's model with its pooling and a classifier, as its weights on the hub have them, and ours."""
    size = 4 * ARCHS[arch]
    reference = timm.create_model(arch, dynamic_img_size=True, img_size=size, num_classes=5, **SMALL).eval()
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.2)
    save_file(reference.state_dict(), path)
    backbone = PlainViT(arch, img_size=size, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **SMALL, **kwargs)
    backbone.init_weights()
    return reference, backbone.eval()


@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('adapter', [None, ADAPTER])
@pytest.mark.parametrize('grid', [(4, 4), (3, 5)])
def test_timm(tmp_path, make_text, arch, adapter, grid):
    """Bit for bit; adapters that are new add nothing."""
    reference, backbone = reference_and_ours(tmp_path / 'model.safetensors', arch, out_indices=(0, 2), adapter=adapter)
    images = torch.randn(2, 3, *(ARCHS[arch] * side for side in grid))
    with torch.no_grad():
        expected = [reference.forward_intermediates(images, indices=[0], intermediates_only=True)[0],
                    reference.forward_intermediates(images, indices=[2], norm=True, intermediates_only=True)[0]]
        found = backbone(images, *([make_text(12)] if adapter else []))
    for one, other in zip(found, expected, strict=True):
        assert other.shape == (2, 32, *grid)
        assert torch.equal(one, other)


def test_weights_of_the_pooling_and_the_classifier_are_left_out(tmp_path):
    reference, backbone = reference_and_ours(tmp_path / 'model.safetensors', 'vit_base_patch16_siglip_512')
    assert reference.state_dict().keys() - backbone.tower.state_dict().keys() == {
        name for name in reference.state_dict() if name.startswith(('attn_pool.', 'head.'))}


@pytest.mark.parametrize('arch', ['vit_base_patch16_dinov3', 'vit_base_patch16_siglip_512'])
@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_tuning(arch, tuning):
    backbone = PlainViT(arch, img_size=64, tuning=tuning, adapter=ADAPTER, **SMALL)
    for name, parameter in backbone.named_parameters():
        norm_or_bias = '.norm' in name or name.endswith('bias')
        assert parameter.requires_grad == (
            name.startswith('adapters.') or tuning == 'all' or (tuning == 'norm_bias' and norm_or_bias)), name


def test_root_mean_square_norms_are_tuned():
    backbone = PlainViT('vit_base_patch16_dinov3', norm_layer=timm.layers.RmsNorm, tuning='norm_bias', **SMALL)
    assert backbone.tower.blocks[0].norm1.weight.requires_grad
    assert backbone.tower.norm.weight.requires_grad


def test_a_rotary_embedding_takes_any_multiple_of_the_patch_size():
    backbone = PlainViT('vit_base_patch16_dinov3', **SMALL).eval()
    assert [backbone(torch.randn(1, 3, *size))[0].shape[2:] for size in ((16, 16), (48, 80), (160, 32))] == [
        (1, 1), (3, 5), (10, 2)]
    with pytest.raises(ValueError, match='30 × 64 pixels; .* multiples of 16, the patch size of PlainViT: 32 × 64'):
        backbone(torch.randn(1, 3, 30, 64))
