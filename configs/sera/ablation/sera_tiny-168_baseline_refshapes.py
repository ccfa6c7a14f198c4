# No SERA-Adapter; the text encoder keeps its adapters.
_base_ = '../sera_tiny-168_refshapes.py'

model = dict(backbone=dict(adapter=None), neck=dict(experts=()))
