# Nor deformable convolution and residual: CRIS's projector.
_base_ = './segvlm_tiny_raf-deformable_refshapes.py'

model = dict(decode_head=dict(projector=dict(dcn=None, residual=False)))
