# Batch 64 in total, as published: 16 images on each of 4 GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=64)
sync_bn = 'torch'
