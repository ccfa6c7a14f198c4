_base_ = './detris_dinov2.py'
dinov2_weights = 'pretrained/dinov2_vitl14_reg4_pretrain.pth'

model = dict(
    backbone=dict(
        arch='vit_large_patch14_reg4_dinov2',
        out_indices=(8, 16, 23),
        adapter=dict(indices=(2, 6, 10, 14, 18, 22)),
        init_cfg=dict(checkpoint=dinov2_weights)),
    neck=dict(in_channels=(1024, 1024, 1024)))
