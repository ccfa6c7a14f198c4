_base_ = [
    '../_base_/models/detris_dinov2-large.py',
    '../_base_/datasets/refcoco-mixed.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    text_encoder=dict(adapter=dict(indices=tuple(range(1, 12)), channels=384)),
    backbone=dict(adapter=dict(indices=tuple(range(1, 24)), channels=384)))
# 8 images on each of 4 GPUs: batch 32 in total, as published.
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(enable=False, base_batch_size=32)
sync_bn = 'torch'
