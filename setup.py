"""Packaging of mmrefseg; the one list of the versions that it needs (`tools/install.sh` reads it too)."""
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

REQUIREMENTS = [
    'torch>=2.11,<2.15',
    'torchvision>=0.26,<0.30',
    'mmcv==2.1.0',  # with its operators: built from source by tools/install.sh
    'mmengine==0.10.7',
    'mmsegmentation==1.2.2',
    'mmpretrain==1.2.0',  # imported where a config names one of its models
    'open_clip_torch==3.3.0',
    'timm>=1.0.20,<2',
    'ftfy',  # mmsegmentation imports ftfy and regex without asking for them
    'regex',
    'lmdb',
    'matplotlib',
    'numpy',
    'opencv-python>=4.11',  # which decodes to RGB
    'packaging',
    'pillow',
    'pycocotools',
    'rich',
    'safetensors',
]
EXTRAS = {'tests': ['hypothesis', 'pytest', 'ruff']}


def read_version() -> str:
    """The version in `mmrefseg/version.py`, read without importing the package."""
    text = (ROOT / 'mmrefseg/version.py').read_text()
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


class BuildWithConfigs(build_py):
    """Puts `configs/` and `tools/` into `mmrefseg/.mim/` of a built package, where OpenMMLab's `mim` looks for them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package then reads them where they lie
            return
        target = Path(self.build_lib) / 'mmrefseg/.mim'
        shutil.rmtree(target, ignore_errors=True)
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))


setup(
    name='mmrefseg',
    version=read_version(),
    description='Referring image segmentation for OpenMMLab',
    python_requires='>=3.11,<3.13',
    packages=find_packages(include=['mmrefseg', 'mmrefseg.*']),
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
