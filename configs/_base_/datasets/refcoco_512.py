# RefCOCO at 512×512: patches of 16 pixels make the grid that patches of 14 make at 448×448.
_base_ = './refcoco.py'
input_size = 512

letterbox = dict(type='Letterbox', size=input_size)
train_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.train_pipeline]
test_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
