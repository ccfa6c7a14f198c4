# RefCOCO as CRIS trains on it: smaller images, larger batches.
_base_ = './refcoco.py'
input_size = 416
batch_size = 16  # per GPU

letterbox = dict(type='Letterbox', size=input_size)
train_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.train_pipeline]
test_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.test_pipeline]

train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
