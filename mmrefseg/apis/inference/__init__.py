import mmrefseg.utils.needs_openmmlab  # noqa: F401

from .inferencer import AskedImage, RefSegInferencer
from .result import RefSegResult
from .sources import ImageSource, sources_of

__all__ = ['AskedImage', 'ImageSource', 'RefSegInferencer', 'RefSegResult', 'sources_of']
