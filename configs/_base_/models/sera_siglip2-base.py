# SERA on the vision tower of SigLIP 2, which the paper leaves untried. It has neither class token nor registers.
_base_ = './sera_dinov2.py'
siglip2_weights = 'pretrained/vit_base_patch16_siglip_512.v2_webli/model.safetensors'

model = dict(
    backbone=dict(
        arch='vit_base_patch16_siglip_512',
        pos_embed_offset=0.0,
        pos_embed_antialias=True,
        init_cfg=dict(checkpoint=siglip2_weights)))
