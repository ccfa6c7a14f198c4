# The softmax over all four experts as it is; sparse routing is top-2.
_base_ = '../sera_dinov2_refcoco.py'

model = dict(neck=dict(noise_std=0.0))
