# Its weight is 1 then, so that only the routing losses train the adapters' routers.
_base_ = '../sera_dinov2_refcoco.py'

model = dict(backbone=dict(adapter=dict(top_k=1)))
