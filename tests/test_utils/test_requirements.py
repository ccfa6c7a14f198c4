import subprocess
import sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError

import pytest

from mmrefseg.utils import requirements
from mmrefseg.utils.requirements import check_requirements

WORKING = {
    'torch': '2.11.0+cu130', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2', 'timm': '1.0.20',
    'mmpretrain': '1.2.0'}


@pytest.fixture
def installed(monkeypatch):
    versions = dict(WORKING)

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(requirements, 'version', version)
    return versions


def test_this_environment_is_supported():
    check_requirements()


@pytest.mark.parametrize(('name', 'found'), [
    ('torch', '2.14.1'), ('torch', '2.11.0a0+1234.nv26.01'), ('mmengine', '0.10.9'), ('mmcv', '2.1.0'),
    ('mmsegmentation', '1.3.0')])
def test_supported(installed, name, found):
    installed[name] = found
    check_requirements()


@pytest.mark.parametrize(('name', 'found'), [
    ('torch', '2.10.0'), ('torch', '2.15.0'), ('torch', '2.15.0a0'), ('mmengine', '0.10.6'), ('mmengine', '0.11.0'),
    ('mmcv', '2.2.0'), ('mmcv', '1.7.2'), ('mmsegmentation', '0.30.0'), ('timm', '1.0.19'), ('mmpretrain', '1.1.1')])
def test_unsupported(installed, name, found):
    installed[name] = found
    with pytest.raises(ImportError) as caught:
        check_requirements()
    message = str(caught.value)
    assert f'{name} {found} is installed, needed is >=' in message
    assert 'bash tools/install.sh' in message
    assert message.count('is installed') == 1


def test_mmpretrain_need_not_be_there(installed):
    del installed['mmpretrain']
    installed['transformers'] = '5.0.0'  # beside which it could not be imported
    check_requirements()


def test_mmpretrain_is_imported_by_the_configs_that_name_it_alone():
    blocked = ("import sys; sys.modules['mmpretrain'] = None\n"
               'import mmrefseg; mmrefseg.register_all_modules()')
    subprocess.run([sys.executable, '-c', blocked], check=True)


def test_every_problem_is_named(installed):
    del installed['mmcv'], installed['timm']
    with pytest.raises(ImportError, match=r'(?s)mmcv is not installed.*timm is not installed'):
        check_requirements()


def test_mmcv_without_operators(installed, monkeypatch, tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').touch()
    monkeypatch.setattr(requirements, 'find_spec', lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
    with pytest.raises(ImportError, match=r'without its compiled operators.*\n.*install\.sh'):
        check_requirements()
    (tmp_path / 'mmcv' / '_ext.cpython-311-x86_64-linux-gnu.so').touch()
    check_requirements()


def test_operators_that_cannot_be_imported():
    # In a process of its own, where mmcv is not imported yet.
    blocked = ("import sys; sys.modules['mmcv._ext'] = None\n"
               'import mmrefseg.models')
    ended = subprocess.run([sys.executable, '-c', blocked], capture_output=True, text=True)
    said = ended.stderr.strip().splitlines()
    assert ended.returncode == 1 and 'compiled operators cannot be imported' in said[-2] and '_ext' in said[-2]
    assert 'bash tools/install.sh' in said[-1]
