_base_ = [
    '../_base_/models/detris_dinov2-large.py',
    '../_base_/datasets/refcoco-mixed.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/schedules/batch_32.py',
    '../_base_/default_runtime.py',
]

model = dict(
    text_encoder=dict(adapter=dict(indices=tuple(range(1, 12)), channels=384)),
    backbone=dict(adapter=dict(indices=tuple(range(1, 24)), channels=384)))
train_dataloader = dict(batch_size=8)
