# RefCOCO with random draws of everything that leaves an expression true. The published methods augment nothing.
_base_ = './refcoco.py'

train_pipeline = [
    dict(type='LoadReferringImage'),
    dict(type='LoadReferringMask'),
    dict(type='SampleSentence'),  # ahead of what reads the expression
    dict(type='RandomReferentCrop', area=(0.4, 1.0)),
    dict(type='FlipReferring', prob=0.5),
    # Colours keep their names: a hue moves by 2 degrees at most. It asks for BGR; RGB makes no difference to it.
    dict(
        type='mmseg.PhotoMetricDistortion',
        brightness_delta=20,
        contrast_range=(0.8, 1.2),
        saturation_range=(0.8, 1.2),
        hue_delta=1),
    dict(type='DropExpression', prob=0.0),  # off
    dict(type='RandomErasing', prob=0.0),  # off
    dict(type='RandomLetterbox', size=_base_.input_size, scale=(0.6, 1.0)),
    dict(type='PackRefSegInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
