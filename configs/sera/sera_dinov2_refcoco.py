_base_ = [
    '../_base_/models/sera_dinov2.py',
    '../_base_/datasets/refcoco.py',
    '../_base_/schedules/schedule_65e.py',
    '../_base_/default_runtime.py',
]

# 4 images on each of 4 GPUs: batch 16 in total, as published.
auto_scale_lr = dict(enable=False, base_batch_size=16)
sync_bn = 'torch'
