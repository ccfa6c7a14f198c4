# RefCOCO, RefCOCO+ and RefCOCOg (umd) in one, without the images of all their val and test splits.
_base_ = './refcoco.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ReferringMixture',
        datasets=[
            _base_.dataset,
            dict(_base_.dataset, data_root='data/refcoco+'),
            dict(_base_.dataset, data_root='data/refcocog', split_by='umd'),
        ],
        unit='ref',
        pipeline=_base_.train_pipeline))
