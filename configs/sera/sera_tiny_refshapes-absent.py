# The tiny SERA tuned to say that what it is asked for is not there; half of a test's expressions name nothing.
_base_ = './sera_tiny_refshapes.py'
load_from = 'work_dirs/quickstart/iter_600.pth'
max_iters = 160

model = dict(decode_head=dict(presence=dict(threshold=0.45)))
# All but the presence output has been trained before.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3), paramwise_cfg=dict(custom_keys={'decode_head.presence': dict(lr_mult=2.0)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=10, T_max=max_iters - 10, end=max_iters, eta_min=5e-6, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)

train_dataloader = dict(
    dataset=dict(_delete_=True, type='AbsentExpressions', rate=0.4, dataset=_base_.train_dataloader.dataset))
val_dataloader = dict(
    dataset=dict(_delete_=True, type='AbsentExpressions', rate=0.5, dataset=_base_.val_dataloader.dataset))
test_dataloader = val_dataloader

val_evaluator = dict(_delete_=True, type='GRESMetric', min_pixels=1)
test_evaluator = val_evaluator
default_hooks = dict(load_checkpoint=dict(may_differ=['decode_head.presence']), checkpoint=dict(save_best='gIoU'))
