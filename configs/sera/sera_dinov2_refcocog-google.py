_base_ = [
    '../_base_/models/sera_dinov2.py',
    '../_base_/datasets/refcocog-google.py',
    '../_base_/schedules/schedule_50e.py',
    '../_base_/schedules/batch_16.py',
    '../_base_/default_runtime.py',
]
