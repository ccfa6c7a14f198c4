# The splits train, val and test separate objects, not images: images of train are in val and test, too.
_base_ = './refcoco.py'
split_by = 'google'

dataset = dict(split_by=split_by)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(**dataset, split='test'))
