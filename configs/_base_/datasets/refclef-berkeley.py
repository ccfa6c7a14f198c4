_base_ = './refclef-unc.py'
split_by = 'berkeley'

dataset = dict(split_by=split_by)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(**dataset, split='test'))
