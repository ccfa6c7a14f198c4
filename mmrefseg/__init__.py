"""mmrefseg: referring image segmentation for OpenMMLab."""
from mmrefseg.utils.mmcv_operator_stubs import stand_in

from .utils.requirements import refuse, why_not
from .utils.shipped_files import config_path
from .version import __version__

__all__ = ['__version__', 'config_path', 'register_all_modules']

if why_not():
    __getattr__ = refuse(__all__)
else:
    stand_in()
    from .checkpoints import install_readers
    from .utils.setup_env import register_all_modules

    # From here on mmengine reads checkpoints as data only.
    install_readers()
