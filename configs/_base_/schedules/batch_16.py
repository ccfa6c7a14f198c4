# 4 images on each of 4 GPUs: batch 16 in total, as published.
auto_scale_lr = dict(enable=False, base_batch_size=16)
sync_bn = 'torch'
