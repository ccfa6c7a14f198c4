"""mmrefseg: referring image segmentation for OpenMMLab."""
from .utils.lazy_imports import after_import
from .utils.mmcv_operator_stubs import stand_in
from .utils.requirements import refuse, why_not
from .utils.shipped_files import config_path
from .version import __version__

__all__ = ['__version__', 'config_path', 'register_all_modules']


def _install_readers() -> None:
    from .checkpoints.mmengine_readers import install_readers  # here, as it imports PyTorch
    install_readers()


if why_not():
    __getattr__ = refuse(__all__)
else:
    from .utils.setup_env import register_all_modules

    after_import('mmcv', stand_in)
    # From here on mmengine reads checkpoints as data only.
    after_import('mmengine.runner', _install_readers)
