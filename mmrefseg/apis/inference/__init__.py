from typing import TYPE_CHECKING

import mmrefseg.utils.needs_openmmlab  # noqa: F401
from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['AskedImage', 'ImageSource', 'RefSegInferencer', 'RefSegResult', 'sources_of']

if TYPE_CHECKING:
    from .image_sources import ImageSource, sources_of
    from .inferencer import AskedImage, RefSegInferencer
    from .result import RefSegResult

__getattr__, __dir__ = import_on_demand(__name__)
