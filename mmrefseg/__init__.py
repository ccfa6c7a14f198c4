"""mmrefseg: referring image segmentation for OpenMMLab."""
from .utils.mmcv_operators import stand_in
from .utils.requirements import check_requirements

check_requirements()
stand_in()

from .checkpoints import install_readers  # noqa: E402
from .utils.setup_env import register_all_modules  # noqa: E402
from .utils.shipped_files import config_path  # noqa: E402
from .version import __version__  # noqa: E402

# From here on mmengine reads checkpoints as data only.
install_readers()

__all__ = ['__version__', 'config_path', 'register_all_modules']
