"""Reading, completing and writing of checkpoints and pretrained weights."""
import mmrefseg.utils.needs_openmmlab  # noqa: F401

from .loading import load_checkpoint
from .mmengine_readers import install_readers

__all__ = ['install_readers', 'load_checkpoint']
