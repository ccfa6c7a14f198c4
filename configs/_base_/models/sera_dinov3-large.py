# SERA on DINOv3-L, which the paper leaves untried. Its position embedding is rotary: nothing is resized.
_base_ = './sera_dinov2-large.py'
dinov3_weights = 'pretrained/vit_large_patch16_dinov3.lvd1689m/model.safetensors'

model = dict(backbone=dict(arch='vit_large_patch16_dinov3', init_cfg=dict(checkpoint=dinov3_weights)))
