# Trains the encoders that the rows of the tiny ablation start from, on images of their own: CRIS with a Dice loss, with
# which it learns faster.
_base_ = './segvlm_tiny_baseline_refshapes.py'
data_root = 'data/refshapes_pretraining'  # made with --seed 1

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

model = dict(
    text_encoder=dict(init_cfg=None),
    backbone=dict(init_cfg=None),
    decode_head=dict(
        loss_decode=[
            dict(type='mmrefseg.BinaryCrossEntropyLoss'),
            dict(type='BinaryDiceLoss', loss_weight=1.0),
        ]))
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
