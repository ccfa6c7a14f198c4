"""Commands load what they need: none pays for the packages of another one, or before it knows what is asked of it."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmrefseg.__main__ import COMMANDS
from mmrefseg.utils.lazy_imports import after_import

LOADED = """
import contextlib
import io
import json
import sys

loaded = {}
for name in ['--help', *json.loads(sys.argv[1])]:
    sys.argv = ['mmrefseg', name, '--help']
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        from mmrefseg.__main__ import main
        main()
    loaded[name] = sorted({*sys.modules})
print(json.dumps(loaded))
"""
TORCH = {'torch', 'mmengine', 'mmcv', 'mmseg'}
RUNNER = {'mmengine.runner', 'mmengine.model', 'mmengine.optim'}
MODELS = {'timm', 'open_clip', 'torchvision', 'mmrefseg.models.segmentors'}
NEVER = {'mmseg.models', 'mmpretrain', 'mmdet', 'scipy', 'pandas', 'matplotlib.figure', 'matplotlib.pyplot'}
BESIDES = {  # from the least on: what one command loads, the next may
    '--help': TORCH | RUNNER | MODELS | NEVER | {'numpy', 'cv2', 'rich'},
    **dict.fromkeys(('import', 'refshapes', 'doctor'), TORCH | RUNNER | MODELS | NEVER),
    **dict.fromkeys(('inspect', 'validate', 'finetune', 'predict', 'ask', 'serve', 'web'), RUNNER | MODELS | NEVER),
    **dict.fromkeys(('train', 'test'), MODELS | NEVER),
}


@pytest.fixture(scope='module')
def loaded():
    names = json.dumps([name for name in BESIDES if name in COMMANDS])
    ended = subprocess.run([sys.executable, '-c', LOADED, names], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return {name: set(modules) for name, modules in json.loads(ended.stdout).items()}


@pytest.mark.parametrize('name', BESIDES)
def test_command_starts_without(loaded, name):
    assert not loaded[name] & BESIDES[name]


def test_what_is_not_loaded_would_be_seen(loaded):
    assert 'numpy' in loaded['import'] and 'torch' in loaded['predict'] and 'mmengine.runner' in loaded['test']


@pytest.fixture
def watched(tmp_path, monkeypatch):
    (tmp_path / 'some_module_of_a_test.py').write_text('value = 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    yield 'some_module_of_a_test'
    sys.modules.pop('some_module_of_a_test', None)


def test_after_import(watched):
    found = []
    after_import(watched, lambda: found.append(sys.modules[watched].value))
    assert not found
    __import__(watched)
    assert found == [1], 'called when the module is whole'
    after_import(watched, lambda: found.append(2))
    assert found == [1, 2]


def test_after_import_of_what_is_not_there(monkeypatch):
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    after_import('no_such_module_of_a_test', pytest.fail)
    with pytest.raises(ModuleNotFoundError, match='no_such_module_of_a_test'):
        __import__('no_such_module_of_a_test')


READERS = """
import {first}
import mmengine.runner
import {then}
from mmengine.runner import CheckpointLoader
print(CheckpointLoader._schemes[''].__module__)
"""


@pytest.mark.parametrize(('first', 'then'), [
    ('mmrefseg', 'mmrefseg'), ('mmengine.runner', 'mmrefseg'), ('mmrefseg.checkpoints.loading', 'mmrefseg'),
    ('mmrefseg.checkpoints.mmengine_readers', 'mmrefseg')])
def test_mmengine_reads_as_data_in_any_order(first, then):
    code = READERS.format(first=first, then=then)
    ended = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == 'mmrefseg.checkpoints.reading', ended.stderr


def test_all_is_offered():
    """Every name in a package's ``__all__`` can be imported, whichever way it is got."""
    root = Path(sys.modules['mmrefseg'].__file__).parent
    packages = ['.'.join(('mmrefseg', *path.parent.relative_to(root).parts)) for path in root.rglob('__init__.py')
                if 'import_on_demand' in path.read_text(encoding='utf-8')]
    assert len(packages) > 5
    for package in packages:
        module = __import__(package, fromlist=['__all__'])
        assert {*module.__all__} <= {*dir(module)}
        assert all(getattr(module, name) is not None for name in module.__all__)
        with pytest.raises(AttributeError, match='no_such_name'):
            _ = module.no_such_name
