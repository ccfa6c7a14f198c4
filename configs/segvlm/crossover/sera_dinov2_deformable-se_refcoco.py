# SERA with SegVLM's projector in its head.
_base_ = '../../sera/sera_dinov2_refcoco.py'

model = dict(decode_head=dict(projector=dict(type='DeformableSEProjector')))
