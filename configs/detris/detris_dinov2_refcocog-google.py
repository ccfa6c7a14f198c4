_base_ = [
    '../_base_/models/detris_dinov2.py',
    '../_base_/datasets/refcocog-google.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/schedules/batch_32.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=8)
