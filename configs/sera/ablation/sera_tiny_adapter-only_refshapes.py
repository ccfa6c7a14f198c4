_base_ = '../sera_tiny_refshapes.py'

model = dict(neck=dict(experts=()))
