_base_ = './cris.py'
clip_arch = 'RN50-quickgelu'
clip_weights = 'pretrained/resnet50_clip.openai/open_clip_model.safetensors'
clip_channels = 1024

model = dict(
    text_encoder=dict(arch=clip_arch, init_cfg=dict(checkpoint=clip_weights)),
    backbone=dict(arch=clip_arch, init_cfg=dict(checkpoint=clip_weights)),
    neck=dict(in_channels=(512, 1024, clip_channels), sentence_channels=clip_channels),
    decode_head=dict(sentence_channels=clip_channels))
