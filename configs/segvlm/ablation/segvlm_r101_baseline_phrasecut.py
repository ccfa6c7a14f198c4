# Nor RAF: CRIS, trained as SegVLM is.
_base_ = './segvlm_r101_raf_phrasecut.py'

model = dict(
    decode_head=dict(loss_decode=[dict(type='mmrefseg.BinaryCrossEntropyLoss')]))
