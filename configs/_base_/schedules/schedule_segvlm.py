# SegVLM's schedule: 50 epochs as CRIS, but the learning rate falls to a tenth at 15 and 30.
_base_ = './schedule_cris.py'

param_scheduler = [dict(type='MultiStepLR', milestones=[15, 30], gamma=0.1, by_epoch=True)]
