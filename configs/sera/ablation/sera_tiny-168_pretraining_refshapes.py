# Trains the encoders that the tiny ablation freezes, on images of their own: no adapter in either, no fusion.
_base_ = './sera_tiny-168_baseline_refshapes.py'
data_root = 'data/refshapes_168_pretraining'  # made with --seed 1

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

model = dict(
    text_encoder=dict(adapter=None, tuning='all', init_cfg=None), backbone=dict(tuning='all', init_cfg=None))
