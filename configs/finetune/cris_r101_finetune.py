# CRIS on one's own data: all of it trains, the encoders at a tenth of the learning rate.
_base_ = [
    '../_base_/models/cris.py',
    '../_base_/datasets/own_data_416.py',
    '../_base_/schedules/schedule_finetune.py',
]
data_root = 'data/mine'
# A checkpoint of CRIS-R101, an official one after cris_to_mmrefseg.py included; None: the pretrained encoders alone.
load_from = None

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1), backbone=dict(lr_mult=0.1))))
