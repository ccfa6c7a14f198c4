# DETRIS-B: SERA's encoders without tuning, dense aligners instead of routed adapters, no experts in the neck.
_base_ = './sera_dinov2.py'
tuning = 'none'

model = dict(
    text_encoder=dict(tuning=tuning),
    backbone=dict(
        adapter=dict(
            _delete_=True,
            type='DETRISAdapter',
            indices=(1, 3, 5, 7, 9, 11),
            text_channels=512,
            channels=128,
            num_heads=8,
            attention_channels=128),
        tuning=tuning),
    neck=dict(experts=()),
    routing_losses=[])
