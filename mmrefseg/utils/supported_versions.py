"""The one list of the versions that mmrefseg runs on.

It imports nothing, so that ``setup.py`` and the scripts in ``tools/install`` can read it by its path before anything is
installed. The table in docs/get_started.md is tested against it.
"""

PYTHON = ('3.10', '3.13')  # the oldest and the newest
TORCH = ('2.6', '2.15')  # the oldest, and the newest that was tried: newer ones get a warning
DEFAULT_TORCH = '2.11.0'  # what the installer takes where there is none
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'  # PyTorch's own builds without CUDA
TIMM = '>=1.0.20,<2'  # the first with DINOv3
TORCHVISION_OFFSET = 15  # torchvision 0.26 belongs to PyTorch 2.11, 0.27 to 2.12, ...

# Two lines of OpenMMLab's packages with the same import names: its own releases, and the maintained ones of OneDL.
# For each import name: the distribution, what is supported, and what the installer takes.
STACKS = {
    'openmmlab': {
        'mmcv': ('mmcv', '>=2.1.0,<2.2', '2.1.0'),
        'mmengine': ('mmengine', '>=0.10.7,<0.11', '0.10.7'),
        'mmseg': ('mmsegmentation', '>=1.2.2,<1.3', '1.2.2'),
        'mmpretrain': ('mmpretrain', '>=1.2.0,<1.3', '1.2.0'),
    },
    'onedl': {
        'mmcv': ('onedl-mmcv', '>=2.3,<2.4', '2.3.6'),
        'mmengine': ('onedl-mmengine', '>=0.10.12,<0.11', '0.10.12'),
        'mmseg': ('onedl-mmsegmentation', '>=1.4.2,<1.5', '1.4.2'),
        'mmpretrain': ('onedl-mmpretrain', '>=1.3.6,<1.4', '1.3.6'),
    },
}
# OpenMMLab's mmcv without compiled operators, ready-made. OneDL's builds without them where PyTorch is out of sight.
PURE_MMCV = 'mmcv-lite'
OPTIONAL = ('mmpretrain',)  # needed by configs that name one of its models


def torchvision_for(torch: str) -> str:
    """The release of torchvision that belongs to a version of PyTorch, as ``'0.26'`` for ``'2.11.0'``.

    Args:
        torch: the version of PyTorch.
    """
    return f'0.{int(torch.split(".")[1]) + TORCHVISION_OFFSET}'
