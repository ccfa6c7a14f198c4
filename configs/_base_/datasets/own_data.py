# One's own pictures and expressions in JSON Lines; a config that inherits this sets the folder.
_base_ = './refcoco.py'
data_root = 'data/mine'

dataset = dict(_delete_=True, type='JSONLinesDataset', data_root=data_root)
train_dataloader = dict(
    num_workers=2, dataset=dict(**dataset, split='train', unit='ref', pipeline=_base_.train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(**dataset, split='val', pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
