# Nor deformable convolution and residual: CRIS's projector.
_base_ = './segvlm_r101_raf-deformable_phrasecut.py'

model = dict(decode_head=dict(projector=dict(dcn=None, residual=False)))
