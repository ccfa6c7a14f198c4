# On RefShapes in PhraseCut's files, where a phrase may refer to several objects.
_base_ = './segvlm_tiny_refshapes.py'
data_root = 'data/refshapes-phrasecut'

dataset = dict(_delete_=True, type='PhraseCutDataset', data_root=data_root, image_source=None)
train_dataloader = dict(dataset=dict(**dataset, split='train', unit='ref', pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, split='val', pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(**dataset, split='test', pipeline=_base_.test_pipeline))

val_evaluator = dict(_delete_=True, type='PhraseCutMetric')
test_evaluator = val_evaluator
