"""One list of versions, from which packaging, the check at import, the installer and the docs' table come."""
import re
import runpy
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import mmrefseg
from mmrefseg.utils import supported_versions as supported

ROOT = Path(mmrefseg.__file__).parents[1]


@pytest.fixture
def packaging(monkeypatch):
    told = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **settings: told.update(settings))
    runpy.run_path(str(ROOT / 'setup.py'))
    return told


def test_what_the_installer_takes_is_supported():
    for stack in supported.STACKS.values():
        assert all(version in SpecifierSet(accepted) for _, accepted, version in stack.values())
        assert set(stack) == {'mmcv', 'mmengine', 'mmseg', 'mmpretrain'}
    assert supported.DEFAULT_TORCH in SpecifierSet(f'>={supported.TORCH[0]},<={supported.TORCH[1]}')
    assert supported.torchvision_for('2.11.0+cu130') == '0.26' and supported.torchvision_for('2.6') == '0.21'


def test_packaging(packaging):
    needed = {requirement.name: requirement for requirement in map(Requirement, packaging['install_requires'])}
    assert '2.6' in needed['torch'].specifier and '2.5.1' not in needed['torch'].specifier
    assert '0.21.0' in needed['torchvision'].specifier and '0.20.1' not in needed['torchvision'].specifier
    assert not needed.keys() & {'mmcv', 'mmcv-lite', 'mmsegmentation'}
    python = SpecifierSet(packaging['python_requires'])
    assert [minor for minor in range(8, 16) if f'3.{minor}.1' in python] == [10, 11, 12, 13]
    assert 'mmengine==0.10.7' in packaging['extras_require']['openmmlab']
    assert 'onedl-mmsegmentation==1.4.2' in packaging['extras_require']['onedl']


def test_the_docs_tell_them():
    section = (ROOT / 'docs/get_started.md').read_text().split('\n## Installation\n')[1].split('\n## ')[0]
    rows = dict(re.findall(r'^\| (\w+) \| (.+) \|$', section, re.MULTILINE))
    assert rows['Python'] == ' to '.join(supported.PYTHON)
    assert rows['PyTorch'].startswith(' to '.join(supported.TORCH))
    for label, stack in (('OpenMMLab', 'openmmlab'), ('OneDL', 'onedl')):
        assert rows[label] == ', '.join(f'{name} {version}' for name, _, version in supported.STACKS[stack].values())


def test_the_stack_that_is_here(helper, monkeypatch):
    versions = helper('versions')
    here = {}
    monkeypatch.setattr(versions, 'installed', here.get)
    assert versions.stack_here() == 'openmmlab'
    assert versions.mmcv_of('openmmlab') == ('mmcv', '2.1.0')
    assert versions.mmcv_of('openmmlab', operators=False) == ('mmcv-lite', '2.1.0')
    here['mmcv'] = '2.1.0'  # has them, which does no harm
    assert versions.mmcv_of('openmmlab', operators=False) == ('mmcv', '2.1.0')
    here['onedl-mmengine'] = '0.10.12'
    assert versions.stack_here() == 'onedl'
    assert versions.mmcv_of('onedl', operators=False) == ('onedl-mmcv', '2.3.6')


@pytest.mark.parametrize(('version', 'fits'), [((3, 9), False), ((3, 10), True), ((3, 13), True), ((3, 14), False)])
def test_pythons(helper, monkeypatch, version, fits):
    versions = helper('versions')
    monkeypatch.setattr(versions.sys, 'version_info', (*version, 1))
    assert versions.python_fits(('venv',)) is fits
    monkeypatch.setattr(versions.sysconfig, 'get_path', lambda name: '/nowhere')
    assert versions.python_fits(('venv', 'headers')) is False


@pytest.fixture
def pair(helper, monkeypatch):
    module = helper('torch_pair')
    monkeypatch.setattr(module, 'has_gpu', lambda: False)
    monkeypatch.setattr(module, 'cpu_index_answers', lambda: True)
    return module


def test_pytorch_for_cpus(pair, monkeypatch):
    said, size, arguments = pair.choose_pair('auto')
    assert 'for CPUs: downloads 0.2 GB' in said[0] and size == 1
    assert arguments == ['--index-url', supported.CPU_INDEX, 'torch==2.11.0', 'torchvision==0.26.*']
    said, size, arguments = pair.choose_pair('cuda')
    assert 'with CUDA: downloads 2.5 GB' in said[0] and size == 5 and arguments[0] == 'torch==2.11.0'
    monkeypatch.setattr(pair, 'has_gpu', lambda: True)
    assert pair.choose_pair('auto')[1] == 5 and pair.choose_pair('cpu')[1] == 1
    monkeypatch.setattr(pair, 'cpu_index_answers', lambda: False)
    said, size, arguments = pair.choose_pair('cpu')
    assert 'cannot be reached: taking the ordinary ones' in said[0] and 'downloads 2.5 GB' in said[1]
    assert size == 5 and arguments == ['torch==2.11.0', 'torchvision==0.26.*']


@pytest.mark.parametrize(('torch', 'vision', 'message'), [
    ('2.5.1', '0.20.1', 'too old'), ('2.11.0', None, 'torchvision is missing'),
    ('2.11.0', '0.25.0', 'do not belong together')])
def test_pairs_that_do_not_fit(pair, monkeypatch, torch, vision, message):
    monkeypatch.setattr(pair, 'installed', {'torch': torch, 'torchvision': vision}.get)
    with pytest.raises(SystemExit, match=message) as caught:
        pair.check_pair()
    assert 'expected:' in caught.value.code and 'mend:' in caught.value.code


def test_no_pair(pair, monkeypatch):
    monkeypatch.setattr(pair, 'installed', lambda name: None)
    with pytest.raises(SystemExit) as caught:
        pair.check_pair()
    assert caught.value.code == 3


def test_a_pytorch_that_nobody_tried_goes_on(pair, monkeypatch, capsys):
    monkeypatch.setattr(pair, 'installed', {'torch': '2.99.0', 'torchvision': '1.14.0'}.get)
    pair.check_pair()
    assert 'nobody tried mmrefseg with a PyTorch newer than 2.15; going on' in capsys.readouterr().out
