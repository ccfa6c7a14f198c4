# SERA's own classes at a size that learns RefShapes on two CPU cores.
_base_ = './sera_dinov2.py'
vision_width = 96
text_width = 64
width = 64

model = dict(
    text_encoder=dict(
        arch=dict(
            _delete_=True,
            embed_dim=text_width,
            quick_gelu=True,
            text_cfg=dict(context_length=24, vocab_size=49408, width=text_width, heads=2, layers=2)),
        num_tokens=16,
        adapter=dict(indices=(1, ), channels=16),
        tuning='all',
        init_cfg=None),
    backbone=dict(
        embed_dim=vision_width,
        depth=4,
        num_heads=3,
        mlp_ratio=3.0,
        init_values=1.0,
        weight_init='jax',
        img_size=112,
        out_indices=(1, 2, 3),
        adapter=dict(indices=(1, 2, 3), text_channels=text_width, channels=48, num_heads=2, dropout=0.0),
        tuning='all',
        init_cfg=None),
    neck=dict(
        in_channels=(vision_width, ) * 3,
        channels=width,
        sentence_channels=text_width,
        num_heads=3,
        router_channels=32),
    decode_head=dict(
        in_channels=width,
        text_channels=text_width,
        sentence_channels=text_width,
        num_layers=2,
        num_heads=2,
        ffn_channels=2 * width,
        dropout=0.0,
        loss_decode=[
            dict(type='mmrefseg.BinaryCrossEntropyLoss'),
            dict(type='BinaryDiceLoss', loss_weight=1.0),
        ]))
