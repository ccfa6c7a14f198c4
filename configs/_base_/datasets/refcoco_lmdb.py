# RefCOCO in one file, as `prepare.py refcoco-unc --lmdb` made it. The same goes for any other prepared data set.
_base_ = './refcoco.py'
data_root = 'data/prepared/refcoco-unc'

dataset = dict(_delete_=True, type='ReferringLMDBDataset', data_root=data_root)
train_dataloader = dict(dataset=dict(**dataset, split='train', unit='ref', pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, split='val', pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
