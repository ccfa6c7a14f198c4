_base_ = '../sera_dinov2_refcoco-plus.py'

model = dict(neck=dict(experts=()))
