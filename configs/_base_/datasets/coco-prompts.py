# COCO's instances of val2017 with made-up prompts, to test on; training and validation stay on RefCOCO.
_base_ = './refcoco.py'

test_dataloader = dict(
    dataset=dict(
        _delete_=True, type='CocoPromptDataset', data_root='data/coco', split='val', pipeline=_base_.test_pipeline))
