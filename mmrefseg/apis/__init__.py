from .inference import RefSegInferencer, RefSegResult

__all__ = ['RefSegInferencer', 'RefSegResult']
