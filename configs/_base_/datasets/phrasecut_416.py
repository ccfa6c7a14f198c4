# PhraseCut. The published validation set is val with miniv, whose images the file of val leaves out.
_base_ = './refcoco_416.py'
data_root = 'data/VGPhraseCut_v0'

dataset = dict(_delete_=True, type='PhraseCutDataset', data_root=data_root)
train_dataloader = dict(dataset=dict(**dataset, split='train', unit='ref', pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, split='val_miniv', pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(**dataset, split='test', pipeline=_base_.test_pipeline))

val_evaluator = dict(_delete_=True, type='PhraseCutMetric')
test_evaluator = val_evaluator
