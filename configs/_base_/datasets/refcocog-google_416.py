# The splits separate objects, not images: images of train are in val, too. There is no test split.
_base_ = './refcoco_416.py'
data_root = 'data/refcocog'
split_by = 'google'

dataset = dict(data_root=data_root, split_by=split_by)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
