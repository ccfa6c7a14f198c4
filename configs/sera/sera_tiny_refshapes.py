# SERA's own classes at a size that learns RefShapes in minutes on two CPU cores.
_base_ = [
    '../_base_/models/sera_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/schedule_tiny.py',
    '../_base_/default_runtime.py',
]
max_iters = 600
decay_begin = 320
lr = 5e-3
routing = dict(temperature=0.2, balancing_rate=0.05)

model = dict(
    data_preprocessor=dict(share_in_training=True),
    # Only the last block sees the words: those ahead of it run once per image.
    backbone=dict(patch_size=14, stem_channels=32, adapter=dict(indices=(3, ), **routing)),
    neck=dict(**routing),
    routing_losses=[
        dict(type='RouterZLoss', loss_weight=0.0),  # however small, it is all that the adapter's router would follow
        dict(type='LoadBalanceLoss', loss_weight=1e-3),
        dict(type='AssignmentLoss', loss_weight=1e-3),
    ])
optim_wrapper = dict(
    optimizer=dict(type='MuonAdamW', lr=lr),
    # At full speed the routers run to the expert that happens to learn first, before the others are of use.
    paramwise_cfg=dict(custom_keys={'.router.': dict(lr_mult=0.1)}))
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], begin=decay_begin, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
# Several expressions of one image show what tells its objects apart, and share what is ahead of the words.
train_dataloader = dict(sampler=dict(_delete_=True, type='ImageGroupsInfiniteSampler', per_image=4))

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200))
