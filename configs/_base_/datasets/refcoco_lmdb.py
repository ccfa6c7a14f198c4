# RefCOCO in one file, as `prepare.py refcoco-unc --lmdb` made it. The same goes for any other prepared data set.
_base_ = './refcoco.py'
data_root = 'data/prepared/refcoco-unc'
train_letterbox = 'FastLetterbox'  # twice the samples per second, each less than a pixel elsewhere than with Letterbox

train_pipeline = [
    dict(step, type=train_letterbox) if step['type'] == 'Letterbox' else step for step in _base_.train_pipeline
]

dataset = dict(_delete_=True, type='ReferringLMDBDataset', data_root=data_root)
train_dataloader = dict(dataset=dict(**dataset, split='train', unit='ref', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, split='val', pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
