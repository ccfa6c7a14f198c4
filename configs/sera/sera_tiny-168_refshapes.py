# The tiny SERA for the ablation: on 12x12 patches, where boundaries and positions can matter, and with frozen encoders,
# as the full-size one has them. tools/ablation_refshapes.py pretrains them.
_base_ = [
    '../_base_/models/sera_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/schedule_tiny.py',
    '../_base_/default_runtime.py',
]
input_size = 168
backbone_weights = 'pretrained/refshapes_168/backbone.pth'
text_weights = 'pretrained/refshapes_168/text_encoder.pth'

letterbox = dict(type='Letterbox', size=input_size)
train_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.train_pipeline]
test_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.test_pipeline]

data_root = 'data/refshapes_168'  # made by tools/dataset_converters/refshapes.py --image-size 168 168
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    text_encoder=dict(
        tuning='norm_bias', init_cfg=dict(_delete_=True, type='Pretrained', checkpoint=text_weights)),
    backbone=dict(
        img_size=input_size,
        tuning='norm_bias',
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint=backbone_weights)))

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200))
