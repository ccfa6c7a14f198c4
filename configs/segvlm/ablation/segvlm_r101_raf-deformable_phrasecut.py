# Without squeeze-and-excitation.
_base_ = '../segvlm_r101_phrasecut.py'

model = dict(decode_head=dict(projector=dict(se_ratio=None)))
