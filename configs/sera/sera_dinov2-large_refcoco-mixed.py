_base_ = [
    '../_base_/models/sera_dinov2-large.py',
    '../_base_/datasets/refcoco-mixed.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/schedules/batch_16.py',
    '../_base_/default_runtime.py',
]

model = dict(text_encoder=dict(num_tokens=22))
