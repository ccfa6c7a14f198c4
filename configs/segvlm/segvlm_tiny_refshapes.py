# SegVLM's own classes at a size that learns RefShapes on two CPU cores.
_base_ = [
    '../_base_/models/segvlm.py',
    '../_base_/datasets/refshapes_128.py',
    '../_base_/schedules/schedule_tiny.py',
    '../_base_/default_runtime.py',
]
vision_width = 16
width = 64

model = dict(
    text_encoder=dict(
        arch=dict(
            _delete_=True,
            embed_dim=width,
            quick_gelu=True,
            text_cfg=dict(context_length=24, vocab_size=49408, width=width, heads=2, layers=2)),
        num_tokens=16,
        init_cfg=None),
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dim=width,
            vision_cfg=dict(layers=(1, 1, 1, 1), width=vision_width, head_width=64, image_size=128)),
        init_cfg=None),
    neck=dict(
        in_channels=(8 * vision_width, 16 * vision_width, width),
        channels=(width, width, width),
        sentence_channels=width),
    decode_head=dict(
        in_channels=width,
        text_channels=width,
        sentence_channels=width,
        num_layers=2,
        num_heads=2,
        ffn_channels=2 * width,
        dropout=0.0))

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200))
