_base_ = [
    '../_base_/models/detris_dinov2.py',
    '../_base_/datasets/refcoco.py',
    '../_base_/schedules/schedule_65e.py',
    '../_base_/schedules/batch_32.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=8)
