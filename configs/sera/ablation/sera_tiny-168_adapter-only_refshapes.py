_base_ = '../sera_tiny-168_refshapes.py'

model = dict(neck=dict(experts=()))
