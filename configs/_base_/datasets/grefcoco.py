_base_ = './refcoco.py'
data_root = 'data/grefcoco'

dataset = dict(type='GRefCOCODataset', data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

val_evaluator = dict(type='GRESMetric')
test_evaluator = val_evaluator
