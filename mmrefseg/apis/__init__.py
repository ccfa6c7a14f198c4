from typing import TYPE_CHECKING

from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['RefSegInferencer', 'RefSegResult']

if TYPE_CHECKING:
    from .inference import RefSegInferencer, RefSegResult

__getattr__, __dir__ = import_on_demand(__name__)
