# Sparse routing at both stages: adapter-sparse and fusion-top-2 in one.
_base_ = '../sera_dinov2_refcoco.py'

model = dict(backbone=dict(adapter=dict(top_k=1)), neck=dict(top_k=2))
