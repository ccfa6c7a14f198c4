# The softmax over all four experts without the router's noise; sparse routing is fusion-top-2.
_base_ = '../sera_dinov2_refcoco.py'

model = dict(neck=dict(noise_std=0.0))
