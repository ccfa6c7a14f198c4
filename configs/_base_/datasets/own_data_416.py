# The same for CRIS and SegVLM.
_base_ = './own_data.py'
input_size = 416

letterbox = dict(type='Letterbox', size=input_size)
train_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.train_pipeline]
test_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.test_pipeline]

train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
