# CRIS on CLIP's ResNet-101; one file holds the weights of both encoders.
clip_arch = 'RN101-quickgelu'
clip_weights = 'pretrained/resnet101_clip.openai/open_clip_model.safetensors'
num_tokens = 17
clip_channels = 512  # of the sentence feature and the last map

model = dict(
    type='ReferringSegmentor',
    data_preprocessor=dict(type='ReferringDataPreProcessor'),
    text_encoder=dict(
        type='OpenCLIPTextEncoder',
        arch=clip_arch,
        num_tokens=num_tokens,
        init_cfg=dict(type='Pretrained', checkpoint=clip_weights)),
    backbone=dict(type='CLIPResNet', arch=clip_arch, init_cfg=dict(type='Pretrained', checkpoint=clip_weights)),
    neck=dict(
        type='CRISFPN',
        in_channels=(512, 1024, clip_channels),
        channels=(256, 512, 1024),
        sentence_channels=clip_channels),
    decode_head=dict(
        type='DynamicKernelHead',
        in_channels=512,
        text_channels=512,
        sentence_channels=clip_channels,
        num_layers=3,
        num_heads=8,
        ffn_channels=2048,
        loss_decode=[dict(type='mmrefseg.BinaryCrossEntropyLoss')]),
    test_cfg=dict(threshold=0.35))
