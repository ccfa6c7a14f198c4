_base_ = [
    '../_base_/models/detris_dinov2.py',
    '../_base_/datasets/refcoco-plus.py',
    '../_base_/schedules/schedule_65e.py',
    '../_base_/default_runtime.py',
]

# 8 images on each of 4 GPUs: batch 32 in total, as published.
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(enable=False, base_batch_size=32)
sync_bn = 'torch'
