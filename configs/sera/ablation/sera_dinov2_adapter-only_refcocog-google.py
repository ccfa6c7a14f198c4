_base_ = '../sera_dinov2_refcocog-google.py'

model = dict(neck=dict(experts=()))
