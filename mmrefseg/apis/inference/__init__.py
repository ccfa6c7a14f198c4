import mmrefseg.utils.needs_openmmlab  # noqa: F401

from .image_sources import ImageSource, sources_of
from .inferencer import AskedImage, RefSegInferencer
from .result import RefSegResult

__all__ = ['AskedImage', 'ImageSource', 'RefSegInferencer', 'RefSegResult', 'sources_of']
