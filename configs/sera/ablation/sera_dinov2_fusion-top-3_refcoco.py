_base_ = '../sera_dinov2_refcoco.py'

model = dict(neck=dict(top_k=3))
