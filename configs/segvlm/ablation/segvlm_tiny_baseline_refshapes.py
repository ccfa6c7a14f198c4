# Nor RAF: CRIS, trained as SegVLM is.
_base_ = './segvlm_tiny_raf_refshapes.py'

model = dict(
    decode_head=dict(loss_decode=[dict(type='mmrefseg.BinaryCrossEntropyLoss')]))
