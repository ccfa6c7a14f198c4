# SegVLM: CRIS with another projector and another loss. Kaiming's initialisation is for what no file of CLIP holds.
_base_ = './cris.py'
kaiming = dict(type='Kaiming', layer='Conv2d')

model = dict(
    neck=dict(init_cfg=kaiming),
    decode_head=dict(
        projector=dict(type='DeformableSEProjector', dcn='DCN', residual=True, se_ratio=16),
        loss_decode=[
            dict(
                type='RAFLoss',
                lambda_bce=1.0,
                lambda_focal=1.0,
                lambda_dice=1.0,
                alpha=0.25,
                gamma=2.0,
                pixel_weight='error')
        ],
        init_cfg=kaiming))
