_base_ = '../sera_dinov2_refcoco.py'

model = dict(neck=dict(experts=('spatial', 'contextual', 'boundary')))
