# PASCAL VOC's instances of val with made-up prompts, to test on; training and validation stay on RefCOCO.
_base_ = './refcoco.py'

test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='VOCPromptDataset',
        data_root='data/VOCdevkit/VOC2012',
        split='val',
        pipeline=_base_.test_pipeline))
