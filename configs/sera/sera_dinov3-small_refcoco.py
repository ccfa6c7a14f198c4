_base_ = [
    '../_base_/models/sera_dinov3-small.py',
    '../_base_/datasets/refcoco_512.py',
    '../_base_/schedules/schedule_65e.py',
    '../_base_/schedules/batch_16.py',
    '../_base_/default_runtime.py',
]
