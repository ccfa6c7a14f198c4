data_root = 'data/refshapes'
input_size = 112
batch_size = 64

train_pipeline = [
    dict(type='LoadReferringImage'),
    dict(type='LoadReferringMask'),
    dict(type='Letterbox', size=input_size),
    dict(type='SampleSentence'),
    dict(type='PackRefSegInputs'),
]
test_pipeline = [
    dict(type='LoadReferringImage'),
    dict(type='Letterbox', size=input_size),
    dict(type='LoadReferringMask'),
    dict(type='PackRefSegInputs'),
]

dataset = dict(type='RefCOCODataset', data_root=data_root)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),  # one tensor from the worker instead of one an image
    dataset=dict(**dataset, split='train', unit='ref', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, split='val', pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='ReferringIoUMetric')
test_evaluator = val_evaluator
