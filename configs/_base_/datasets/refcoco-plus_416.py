_base_ = './refcoco_416.py'
data_root = 'data/refcoco+'

dataset = dict(data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
