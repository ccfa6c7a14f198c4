# RefShapes comes in RefCOCO's files, with small images.
_base_ = './refcoco.py'
data_root = 'data/refshapes'
image_dir = 'images'
input_size = 112
batch_size = 64

letterbox = dict(type='Letterbox', size=input_size)
train_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.train_pipeline]
test_pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in _base_.test_pipeline]

dataset = dict(data_root=data_root, data_prefix=dict(img_path=image_dir), image_source=None)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    sampler=dict(type='SeededInfiniteSampler'),
    collate_fn=dict(type='default_collate'),  # one tensor from the worker instead of one per image
    dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(batch_size=batch_size, num_workers=1, dataset=dict(**dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
