from mmrefseg.utils.requirements import refuse, why_not

__all__ = ['RefSegInferencer', 'RefSegResult']

if why_not():
    __getattr__ = refuse(__all__)
else:
    from .inference import RefSegInferencer, RefSegResult
