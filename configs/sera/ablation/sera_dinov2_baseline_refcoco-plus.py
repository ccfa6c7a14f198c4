# No SERA-Adapter; the text encoder keeps its adapters.
_base_ = '../sera_dinov2_refcoco-plus.py'

model = dict(backbone=dict(adapter=None), neck=dict(experts=()))
