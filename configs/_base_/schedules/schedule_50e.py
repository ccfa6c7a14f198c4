# 50 epochs, the learning rate falls to a tenth at 35: CRIS and DETRIS-L everywhere, DETRIS-B on RefCOCOg (google).
_base_ = './schedule_65e.py'

param_scheduler = [dict(type='MultiStepLR', milestones=[35], gamma=0.1, by_epoch=True)]
train_cfg = dict(max_epochs=50)
