# Batch 32 in total, as published: 8 images on each of 4 GPUs.
auto_scale_lr = dict(enable=False, base_batch_size=32)
sync_bn = 'torch'
