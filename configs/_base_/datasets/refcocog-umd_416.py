_base_ = './refcoco_416.py'
data_root = 'data/refcocog'
split_by = 'umd'

dataset = dict(data_root=data_root, split_by=split_by)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(**dataset, split='test'))
