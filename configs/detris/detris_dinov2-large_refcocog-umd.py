_base_ = [
    '../_base_/models/detris_dinov2-large.py',
    '../_base_/datasets/refcocog-umd.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/schedules/batch_32.py',
    '../_base_/default_runtime.py',
]

model = dict(text_encoder=dict(num_tokens=22))
train_dataloader = dict(batch_size=8)
