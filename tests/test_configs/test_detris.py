"""What the configs of DETRIS set, beyond the table."""
import pytest
from helpers.configs import build, load

from mmrefseg.models import DETRISAdapter
from mmrefseg.models.layers import Router

BASE, LARGE = 'detris_dinov2_refcoco', 'detris_dinov2-large_refcoco'
MIXED = 'detris_dinov2-large_refcoco-mixed'


@pytest.mark.parametrize(('name', 'width', 'blocks', 'maps', 'channels', 'text_blocks', 'text_channels'), [
    (BASE, 768, range(1, 12, 2), [4, 8, 11], 128, range(1, 12, 2), 64),
    (LARGE, 1024, range(2, 23, 4), [8, 16, 23], 128, range(1, 12, 2), 64),
    (MIXED, 1024, range(1, 24), [8, 16, 23], 384, range(1, 12), 384),
])
def test_published_values(name, width, blocks, maps, channels, text_blocks, text_channels):
    model = build(name)
    backbone, text, head = model.backbone, model.text_encoder, model.decode_head
    assert [*backbone.adapters] == [str(i) for i in blocks]
    assert [*text.adapters] == [str(i) for i in text_blocks]
    assert (backbone.tower.embed_dim, backbone.out_indices, backbone.tower.num_reg_tokens) == (width, maps, 4)
    assert (backbone.pos_embed_offset, backbone.pos_embed_antialias) == (0.1, False)
    for adapter in backbone.adapters.values():
        assert type(adapter) is DETRISAdapter
        assert (adapter.down.out_features, adapter.attention.attention.embed_dim, adapter.scale) == (channels, 128, 0.2)
        assert (adapter.branches.dense, adapter.attention.mask_padding) == (True, False)
    assert {adapter.down.out_features for adapter in text.adapters.values()} == {text_channels}
    assert not [module for module in model.modules() if isinstance(module, Router)]
    assert len(model.routing_losses) == 0
    assert (len(head.decoder.layers), head.decoder.layers[0].ffn[0].out_features) == (3, 512)
    assert [loss.loss_name for loss in head.loss_decode] == ['loss_ce']
    assert model.test_cfg['threshold'] == 0.35


@pytest.mark.parametrize('name', [BASE, LARGE, MIXED])
def test_the_encoders_are_frozen(name):
    model = build(name)
    for encoder in (model.text_encoder, model.backbone):
        assert all(p.requires_grad == name.startswith('adapters.') for name, p in encoder.named_parameters())
    assert all(p.requires_grad for part in (model.neck, model.decode_head) for p in part.parameters())


def test_weights_of_the_right_size():
    for name, size in ((BASE, 'b'), (LARGE, 'l'), (MIXED, 'l')):
        assert load(name).model.backbone.init_cfg.checkpoint == f'pretrained/dinov2_vit{size}14_reg4_pretrain.pth'
