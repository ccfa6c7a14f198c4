# DETRIS-B's schedule: 65 epochs, the learning rate falls to a tenth at 35 and 55.
lr = 1e-4

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=lr))
param_scheduler = [dict(type='MultiStepLR', milestones=[35, 55], gamma=0.1, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=65, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
