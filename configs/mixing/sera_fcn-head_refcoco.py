# SERA with a head of mmseg, which sees nothing of the text itself.
_base_ = '../sera/sera_dinov2_refcoco.py'

model = dict(
    decode_head=dict(
        _delete_=True,
        type='mmseg.FCNHead',
        in_channels=512,
        channels=256,
        num_convs=2,
        norm_cfg=dict(type='BN'),
        num_classes=2,
        out_channels=1,
        threshold=0.35,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True)))
