# For some hundred pictures: a short schedule with warm-up at half the learning rate, averaged weights, and an end where
# the validation split gains nothing any more. Average and patience are counted in steps and epochs of such data.
_base_ = ['./schedule_65e.py', '../default_runtime.py']
epochs = 30
warm_up = 2
lr = 5e-5

optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=warm_up, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=warm_up, T_max=epochs - warm_up, end=epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs, val_interval=2)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.02, update_buffers=True),
    dict(type='EarlyStoppingHook', monitor='mIoU', rule='greater', min_delta=0.1, patience=5),
]
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=1))
