# CRIS's schedule: 50 epochs, the learning rate falls to a tenth at 35; both encoders train at a tenth of it.
_base_ = './schedule_50e.py'

optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1), backbone=dict(lr_mult=0.1))))
