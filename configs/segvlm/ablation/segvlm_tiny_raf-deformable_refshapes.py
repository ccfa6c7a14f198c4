# Without squeeze-and-excitation.
_base_ = './segvlm_tiny_raf-deformable-se_refshapes.py'

model = dict(decode_head=dict(projector=dict(se_ratio=None)))
