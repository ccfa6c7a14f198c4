# RefCOCO as `prepare.py refcoco-unc --lmdb` made it.
_base_ = [
    '../_base_/models/sera_dinov2.py',
    '../_base_/datasets/refcoco_lmdb.py',
    '../_base_/schedules/schedule_65e.py',
    '../_base_/schedules/batch_16.py',
    '../_base_/default_runtime.py',
]
