# SERA on one's own data.
_base_ = [
    '../_base_/models/sera_dinov2.py',
    '../_base_/datasets/own_data.py',
    '../_base_/schedules/schedule_finetune.py',
]
data_root = 'data/mine'
# A checkpoint of any config of SERA on DINOv2-B, whole or of what was trained; None: the pretrained encoders alone.
load_from = None

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
