# SegVLM on one's own data. A checkpoint of CRIS may be the start, too: what has another size is left as it was made.
_base_ = [
    '../_base_/models/segvlm.py',
    '../_base_/datasets/own_data_416.py',
    '../_base_/schedules/schedule_finetune.py',
]
data_root = 'data/mine'
# A checkpoint of SegVLM-R101; None: the pretrained encoders alone.
load_from = None

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1), backbone=dict(lr_mult=0.1))))
default_hooks = dict(load_checkpoint=dict(may_differ=['decode_head.projector']))
