from .inferencer import RefSegInferencer, RefSegResult

__all__ = ['RefSegInferencer', 'RefSegResult']
