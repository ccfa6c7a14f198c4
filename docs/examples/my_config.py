_base_ = __import__('mmrefseg').config_path('sera/sera_tiny_refshapes.py')
custom_imports = dict(imports=['my_parts'])

model = dict(
    neck=dict(
        _delete_=True, type='ScaleShiftNeck', in_channels=(96, 96, 96), channels=64,
        sentence_channels=64),
    decode_head=dict(_delete_=True, type='WordHead', in_channels=64, text_channels=64))
