# SegVLM's projector as the neck of mmseg's FCN on Cityscapes: instead of dilated convolutions, it enlarges the last two
# of ResNet's maps 4×, from strides 16 and 32 to 4 and 8.
# Not 'mmseg::fcn/…', which OneDL's mmengine looks for under the name of OpenMMLab's distribution alone.
_base_ = __import__('mmseg').__path__[0] + '/.mim/configs/fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['mmrefseg'])

model = dict(
    backbone=dict(out_indices=(2, 3), strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1)),
    neck=dict(type='mmrefseg.DeformableSEProjector', in_channels=(256, 512), channels=128),
    decode_head=dict(in_channels=128, in_index=1),
    auxiliary_head=dict(in_channels=128, in_index=0))

sync_bn = 'torch'  # the neck's, too; mmseg's own layers are synchronised already
