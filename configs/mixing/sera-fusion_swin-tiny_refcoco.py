# SERA-Fusion on mmpretrain's Swin Transformer: four maps, of strides 4, 8, 16 and 32.
_base_ = '../sera/sera_dinov2_refcoco.py'
swin_weights = 'https://download.openmmlab.com/mmclassification/v0/swin-transformer/' \
    'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),  # ImageNet's, as pretrained
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        img_size=448,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=swin_weights, prefix='backbone')),
    neck=dict(in_channels=(96, 192, 384, 768), resize_to=2))
