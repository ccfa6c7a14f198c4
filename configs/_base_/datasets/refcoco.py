data_root = 'data/refcoco'
image_dir = '../coco/train2014'  # seen from data_root
split_by = 'unc'
input_size = 448
batch_size = 4  # per GPU

train_pipeline = [
    dict(type='LoadReferringImage'),
    dict(type='LoadReferringMask'),
    dict(type='Letterbox', size=input_size),
    dict(type='SampleSentence'),
    dict(type='PackRefSegInputs'),
]
# The mask is loaded behind the letterbox: it keeps the image's original size, at which figures are computed.
test_pipeline = [
    dict(type='LoadReferringImage'),
    dict(type='Letterbox', size=input_size),
    dict(type='LoadReferringMask'),
    dict(type='PackRefSegInputs'),
]

dataset = dict(
    type='RefCOCODataset', data_root=data_root, split_by=split_by, data_prefix=dict(img_path=image_dir))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(**dataset, split='train', unit='ref', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SameImageSampler'),
    dataset=dict(**dataset, split='val', pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='ReferringIoUMetric')
test_evaluator = val_evaluator
