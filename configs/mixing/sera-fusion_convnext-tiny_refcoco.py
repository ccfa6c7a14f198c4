# SERA-Fusion on mmpretrain's ConvNeXt: four maps, of strides 4, 8, 16 and 32.
_base_ = '../sera/sera_dinov2_refcoco.py'
convnext_weights = 'https://download.openmmlab.com/mmclassification/v0/convnext/' \
    'convnext-tiny_32xb128_in1k_20221207-998cf3e9.pth'

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),  # ImageNet's, as pretrained
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        gap_before_final_norm=False,
        init_cfg=dict(type='Pretrained', checkpoint=convnext_weights, prefix='backbone')),
    neck=dict(in_channels=(96, 192, 384, 768), resize_to=2))
