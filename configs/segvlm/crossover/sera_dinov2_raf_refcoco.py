# SERA with SegVLM's loss.
_base_ = '../../sera/sera_dinov2_refcoco.py'

model = dict(decode_head=dict(loss_decode=[dict(type='RAFLoss')]))
