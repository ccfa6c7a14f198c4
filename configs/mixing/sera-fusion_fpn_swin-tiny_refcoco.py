# mmdet's feature pyramid between Swin Transformer and SERA-Fusion: a list of necks. Needs mmdet.
_base_ = './sera-fusion_swin-tiny_refcoco.py'

model = dict(
    neck=[
        dict(type='mmdet.FPN', in_channels=[96, 192, 384, 768], out_channels=256, num_outs=4),
        dict(type='SERAFusion', in_channels=(256, ) * 4, channels=512, sentence_channels=512, resize_to=2),
    ])
