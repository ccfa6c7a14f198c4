_base_ = '../sera_dinov2_refcoco.py'

model = dict(backbone=dict(adapter=dict(experts=('spatial', ))))
