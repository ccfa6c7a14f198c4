"""Packaging; the versions of Python, PyTorch and OpenMMLab's packages stand in `utils/supported_versions.py`."""
import re
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

SUPPORTED = runpy.run_path(str(ROOT / 'mmrefseg/utils/supported_versions.py'))
OLDEST_TORCH = SUPPORTED['TORCH'][0]
OLDEST_PYTHON, NEWEST_PYTHON = SUPPORTED['PYTHON']

REQUIREMENTS = [
    f'torch>={OLDEST_TORCH}',
    f'torchvision>={SUPPORTED["torchvision_for"](OLDEST_TORCH)}',
    'open_clip_torch==3.3.0',
    f'timm{SUPPORTED["TIMM"]}',
    'ftfy',  # mmsegmentation imports ftfy and regex without asking for them
    'regex',
    'lmdb',
    'matplotlib',
    'numpy>=1.26',
    'opencv-python>=4.11',  # which decodes to RGB
    'packaging',
    'pillow',
    'pycocotools',
    'rich',
    'safetensors',
]
DOCS = ['furo', 'myst-parser', 'sphinx']
ONNX = ['onnx', 'onnxruntime', 'onnxscript']
SERVE = ['fastapi', 'prometheus-client', 'python-multipart', 'uvicorn']
HUB = ['huggingface_hub']
LANGUAGES = ['sentencepiece', 'transformers>=4.31']
EXTRAS = {'docs': DOCS, 'onnx': ONNX, 'serve': SERVE, 'web': SERVE, 'hub': HUB, 'languages': LANGUAGES,
          'tests': ['codespell', 'httpx', 'hypothesis', 'mypy', 'pytest', 'ruff', 'websocket-client', *DOCS, *ONNX,
                    *SERVE, *HUB]}
# Without mmcv, of which there are releases with and without compiled operators that overwrite each other.
EXTRAS.update({stack: [f'{name}=={version}' for module, (name, _, version) in packages.items() if module != 'mmcv']
               for stack, packages in SUPPORTED['STACKS'].items()})


def read_version() -> str:
    """The version in `mmrefseg/version.py`, read without importing the package."""
    text = (ROOT / 'mmrefseg/version.py').read_text()
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


class BuildWithConfigs(build_py):
    """Puts configs, tools and their index into `mmrefseg/.mim/` of a built package, where OpenMMLab's `mim` looks."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package then reads them where they lie
            return
        target = Path(self.build_lib) / 'mmrefseg/.mim'
        shutil.rmtree(target, ignore_errors=True)
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        shutil.copy(ROOT / 'model-index.yml', target)


setup(
    name='mmrefseg',
    version=read_version(),
    description='Referring image segmentation for OpenMMLab',
    python_requires=f'>={OLDEST_PYTHON},<3.{int(NEWEST_PYTHON.split(".")[1]) + 1}',
    packages=find_packages(include=['mmrefseg', 'mmrefseg.*']),
    package_data={'mmrefseg.deploy': ['page/*']},
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    entry_points={'console_scripts': ['mmrefseg = mmrefseg.__main__:main']},
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
