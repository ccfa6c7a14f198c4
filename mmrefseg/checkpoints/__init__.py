"""Reading, completing and writing of checkpoints and pretrained weights."""
from typing import TYPE_CHECKING

import mmrefseg.utils.needs_openmmlab  # noqa: F401
from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['install_readers', 'load_checkpoint']

if TYPE_CHECKING:
    from .loading import load_checkpoint
    from .mmengine_readers import install_readers

__getattr__, __dir__ = import_on_demand(__name__)
