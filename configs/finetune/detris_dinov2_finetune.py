# DETRIS on one's own data: the encoders are frozen, the adapters between them train.
_base_ = [
    '../_base_/models/detris_dinov2.py',
    '../_base_/datasets/own_data.py',
    '../_base_/schedules/schedule_finetune.py',
]
data_root = 'data/mine'
# A checkpoint of DETRIS-B, an official one after detris_to_mmrefseg.py included; None: the pretrained encoders alone.
load_from = None

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
