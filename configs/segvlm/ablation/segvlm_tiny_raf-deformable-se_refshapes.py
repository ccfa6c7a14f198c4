# The tiny SegVLM as the full-size one trains: from pretrained encoders, at a tenth of the learning rate. For the
# ablation, whose script pretrains them.
_base_ = '../segvlm_tiny_refshapes.py'
clip_weights = 'pretrained/refshapes_128/clip.pth'
batch_size = 32

encoder = dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint=clip_weights))
model = dict(text_encoder=encoder, backbone=encoder)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(text_encoder=dict(lr_mult=0.1), backbone=dict(lr_mult=0.1))))
train_dataloader = dict(batch_size=batch_size)
