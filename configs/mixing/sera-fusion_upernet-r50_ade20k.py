# SERA-Fusion without text in a semantic segmentor of mmseg: its UPerNet's config, with our neck between.
# Not 'mmseg::upernet/…', which OneDL's mmengine looks for under the name of OpenMMLab's distribution alone.
_base_ = __import__('mmseg').__path__[0] + '/.mim/configs/upernet/upernet_r50_4xb4-80k_ade20k-512x512.py'
custom_imports = dict(imports=['mmrefseg'])

model = dict(
    neck=dict(
        type='mmrefseg.SERAFusion',
        in_channels=(256, 512, 1024, 2048),
        channels=512,
        sentence_channels=None,
        resize_to=2),
    decode_head=dict(in_channels=[512], in_index=[0]),
    auxiliary_head=dict(in_channels=512, in_index=0))

sync_bn = 'torch'  # the neck's, too; mmseg's own layers are synchronised already
