# SERA on DINOv2-B with registers and CLIP ViT-B/16's text transformer.
dinov2_weights = 'pretrained/dinov2_vitb14_reg4_pretrain.pth'
clip_weights = 'pretrained/vit_base_patch16_clip_224.openai/open_clip_model.safetensors'
num_tokens = 17
tuning = 'norm_bias'

model = dict(
    type='ReferringSegmentor',
    data_preprocessor=dict(type='ReferringDataPreProcessor'),
    text_encoder=dict(
        type='OpenCLIPTextEncoder',
        arch='ViT-B-16-quickgelu',
        num_tokens=num_tokens,
        adapter=dict(indices=(1, 3, 5, 7, 9, 11), channels=64),
        tuning=tuning,
        init_cfg=dict(type='Pretrained', checkpoint=clip_weights)),
    backbone=dict(
        type='PlainViT',
        arch='vit_base_patch14_reg4_dinov2',
        out_indices=(4, 8, 11),
        pos_embed_offset=0.1,
        pos_embed_antialias=False,
        adapter=dict(type='SERAAdapter', indices=(1, 3, 5, 7, 9, 11), text_channels=512, channels=128, num_heads=8),
        tuning=tuning,
        init_cfg=dict(type='Pretrained', checkpoint=dinov2_weights)),
    neck=dict(type='SERAFusion', in_channels=(768, 768, 768), channels=512, sentence_channels=512),
    decode_head=dict(
        type='DynamicKernelHead',
        in_channels=512,
        text_channels=512,
        sentence_channels=512,
        num_layers=3,
        num_heads=8,
        ffn_channels=512,
        loss_decode=[dict(type='mmrefseg.BinaryCrossEntropyLoss')]),
    routing_losses=[
        dict(type='RouterZLoss', loss_weight=1e-3),
        dict(type='LoadBalanceLoss', loss_weight=1e-2),
        dict(type='AssignmentLoss', loss_weight=1e-2),
    ],
    test_cfg=dict(threshold=0.35))
