_base_ = [
    '../_base_/models/sera_dinov2.py',
    '../_base_/datasets/grefcoco.py',
    '../_base_/schedules/schedule_65e.py',
    '../_base_/schedules/batch_16.py',
    '../_base_/default_runtime.py',
]

model = dict(text_encoder=dict(num_tokens=22))
default_hooks = dict(checkpoint=dict(save_best='gIoU'))
