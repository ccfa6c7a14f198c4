"""Imports within mmrefseg point down only, and models stand without the packages of data, metrics and drawing."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'mmrefseg'

BASE = {'errors', 'version'}
UTILS = BASE | {'utils'}
CHECKPOINTS = UTILS | {'registry', 'checkpoints'}
STRUCTURES = UTILS | {'structures'}
DATASETS = STRUCTURES | {'registry', 'datasets'}
EVALUATION = DATASETS | {'evaluation'}
MODELS = CHECKPOINTS | STRUCTURES | {'models'}
ENGINE = MODELS | EVALUATION | {'engine'}
VISUALIZATION = STRUCTURES | {'registry', 'visualization'}
MAY_IMPORT = {
    'errors': set(),
    'version': set(),
    'utils': UTILS,
    'registry': UTILS,
    'structures': STRUCTURES,
    'checkpoints': CHECKPOINTS,
    'datasets': DATASETS,
    'evaluation': EVALUATION,
    'models': MODELS,
    'engine': ENGINE,
    'visualization': VISUALIZATION,
    'apis': ENGINE | VISUALIZATION | {'apis'},
    'deploy': ENGINE | VISUALIZATION | {'apis', 'deploy'},
}
"""Part of the package → the parts that its modules may import."""


def imported(path: Path, root: Path = PACKAGE) -> list[str]:
    """Whole names of all that a module imports, in functions too; ``a.b`` for ``from a import b``."""
    package = ('mmrefseg', *path.relative_to(root).parent.parts)
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else ()
            module = '.'.join((*above, *([node.module] if node.module else [])))
            names += [f'{module}.{alias.name}' for alias in node.names]
    return names


@pytest.mark.parametrize('part', MAY_IMPORT)
def test_imports_point_down(part):
    paths = [PACKAGE / f'{part}.py'] if (PACKAGE / f'{part}.py').exists() else sorted((PACKAGE / part).rglob('*.py'))
    assert paths
    parts = {path.stem for path in PACKAGE.iterdir()}
    wrong = [f'{path.relative_to(PACKAGE)}: {name}' for path in paths for name in imported(path)
             if name.startswith('mmrefseg.') and name.split('.')[1] in parts - MAY_IMPORT[part]]
    assert not wrong


def test_every_part_has_its_directions():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == '.py' or (path / '__init__.py').exists()}
    assert parts - {'__init__', '__main__'} == MAY_IMPORT.keys()


def test_relative_imports_are_seen(tmp_path):
    (tmp_path / 'models').mkdir()
    path = tmp_path / 'models/head.py'
    path.write_text('from .layers import a\ndef f():\n    from ..datasets.config import b\n    from .. import apis\n')
    assert imported(path, tmp_path) == ['mmrefseg.models.layers.a', 'mmrefseg.datasets.config.b', 'mmrefseg.apis']


def test_models_stand_alone():
    """Built and run without the packages that data sets, metrics and drawing need, and without MMPretrain."""
    code = '''
import sys
for name in {blocked}:
    sys.modules[name] = None
import torch
from mmengine.config import Config
import mmrefseg
from mmrefseg.models import ReferringSegmentor
model = dict(Config.fromfile(mmrefseg.config_path('sera_tiny_refshapes')).model)
assert model.pop('type') == 'ReferringSegmentor'
model = ReferringSegmentor(**model).eval()
with torch.inference_mode():
    logits = model(torch.zeros(1, 3, 112, 112), None, *model.text_encoder.tokenize(['the red car']))
assert logits.shape[:2] == (1, 1)
loaded = [name for name in sys.modules if name.startswith('mmrefseg.')]
print(*sorted({{name.split('.')[1] for name in loaded}}))
'''.format(blocked=('lmdb', 'pycocotools', 'matplotlib', 'mmpretrain'))
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) <= MODELS
