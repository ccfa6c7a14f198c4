import sys
import warnings
from importlib.metadata import PackageNotFoundError

import pytest

import mmrefseg.models  # noqa: F401  before any test changes what is installed
from mmrefseg.registry import MODELS
from mmrefseg.utils import requirements
from mmrefseg.utils.requirements import check_requirements

OPENMMLAB = {
    'torch': '2.11.0+cu130', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2', 'mmpretrain': '1.2.0',
    'timm': '1.0.20'}
ONEDL = {
    'torch': '2.15.0', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6', 'timm': '1.0.31'}


@pytest.fixture
def installed(monkeypatch):
    versions = dict(OPENMMLAB)

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(requirements, 'version', version)
    monkeypatch.setattr(requirements, 'find_spec', lambda name: None)
    return versions


@pytest.fixture
def onedl(installed):
    installed.clear()
    installed.update(ONEDL)
    return installed


def problems():
    with pytest.raises(ImportError) as caught:
        check_requirements()
    first, *lines, mend = str(caught.value).splitlines()
    assert first == 'mmrefseg cannot run here:' and 'bash tools/install.sh' in mend
    return [line.removeprefix('  - ') for line in lines]


def test_this_environment_is_supported():
    check_requirements()


@pytest.mark.parametrize(('name', 'found'), [
    ('torch', '2.6.0'), ('torch', '2.15.1'), ('torch', '2.11.0a0+1234.nv26.01'), ('mmengine', '0.10.9'),
    ('mmcv', '2.1.0'), ('mmsegmentation', '1.2.2'), ('transformers', '5.1.0')])
def test_supported(installed, name, found):
    installed[name] = found
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_requirements()


@pytest.mark.parametrize(('name', 'found'), [
    ('torch', '2.5.1'), ('torch', '2.5.0a0'), ('mmengine', '0.10.6'), ('mmengine', '0.11.0'),
    ('mmcv', '2.2.0'), ('mmcv', '1.7.2'), ('mmsegmentation', '0.30.0'), ('mmsegmentation', '1.4.2'),
    ('timm', '1.0.19')])
def test_unsupported(installed, name, found):
    installed[name] = found
    problem, = problems()
    assert problem.startswith(f'{name} {found} is installed, needed is ')


def test_a_pytorch_that_nobody_tried_gives_a_warning(installed):
    installed['torch'] = '2.16.0'
    with pytest.warns(UserWarning, match='not tried with PyTorch 2.16.0, only with 2.6 to 2.15'):
        check_requirements()


def test_what_onedl_maintains(onedl):
    check_requirements()
    onedl['onedl-mmcv'] = '2.2.0'
    assert problems() == ['onedl-mmcv 2.2.0 is installed, needed is onedl-mmcv >=2.3,<2.4']


def test_the_mend_is_of_the_line_that_is_here(installed, onedl):
    del installed['onedl-mmcv']
    with pytest.raises(ImportError, match=r'pip install "mmrefseg\[onedl\]" onedl-mmcv==2\.3\.6$'):
        check_requirements()
    installed.clear()
    installed.update(torch='2.11.0', timm='1.0.31')
    with pytest.raises(ImportError, match=r'pip install "mmrefseg\[openmmlab\]" mmcv-lite==2\.1\.0$'):
        check_requirements()


def test_the_two_lines_are_not_mixed(onedl):
    del onedl['onedl-mmsegmentation']
    onedl['mmsegmentation'] = '1.2.2'
    assert problems() == ['onedl-mmcv 2.3.6 is installed, needed is mmcv >=2.1.0,<2.2']


@pytest.mark.parametrize('other', ['mmcv-lite', 'onedl-mmcv'])
def test_two_that_overwrite_each_other(installed, other):
    installed[other] = '2.1.0'
    problem, = problems()
    assert problem.startswith(f'mmcv and {other} are both installed') and f'pip uninstall -y mmcv {other}' in problem


def test_mmcv_lite_will_do(installed):
    installed['mmcv-lite'] = installed.pop('mmcv')
    check_requirements()


def test_a_distribution_of_another_name(installed, monkeypatch):
    del installed['mmcv']
    installed['vendor-mmcv'] = '2.1.0'
    monkeypatch.setattr(requirements, 'find_spec', lambda name: name == 'mmcv')
    monkeypatch.setattr(requirements, 'packages_distributions', lambda: {'mmcv': ['vendor-mmcv']})
    check_requirements()
    installed['vendor-mmcv'] = '2.2.0'
    assert problems() == ['vendor-mmcv 2.2.0 is installed, needed is mmcv >=2.1.0,<2.2']


def test_every_problem_is_named(installed):
    del installed['mmcv'], installed['torch']
    installed['mmengine'] = '0.9.0'
    assert problems() == [
        'torch is not installed, needed is >=2.6', 'mmcv is not installed, needed is >=2.1.0,<2.2',
        'mmengine 0.9.0 is installed, needed is mmengine >=0.10.7,<0.11']


def test_mmpretrain_need_not_be_there(installed):
    del installed['mmpretrain']
    check_requirements()


@pytest.mark.parametrize(('found', 'mend'), [
    ('5.1.0', 'transformers 5.1.0 is installed, and mmpretrain needs one below 5, or none: pip install "transf'),
    (None, 'pip install mmpretrain')])
def test_a_config_that_names_a_model_of_mmpretrain(installed, monkeypatch, found, mend):
    if found:
        installed['transformers'] = found
    monkeypatch.setitem(sys.modules, 'mmpretrain.models', None)
    told = r'mmpretrain\.ResNet is a model of mmpretrain, which cannot be imported here'
    with pytest.raises(ImportError, match=told) as caught:
        MODELS.build(dict(type='mmpretrain.ResNet', depth=18))
    assert mend in str(caught.value)
    MODELS.build(dict(type='mmseg.ResNetV1c', depth=18))


@pytest.mark.parametrize('kind', [ImportError, AttributeError, TypeError])
def test_whatever_ends_the_import_of_mmpretrain(installed, monkeypatch, kind):
    """OneDL's release derives from what transformers 5 has not, which is a TypeError."""
    def fail(name):
        raise kind('NoneType takes no arguments')

    installed['transformers'] = '5.24.0'
    monkeypatch.setattr(requirements, 'import_module', fail)
    told = r'cannot be imported here \(NoneType takes no arguments\)\. transformers 5\.24\.0 is installed'
    with pytest.raises(ImportError, match=told):
        requirements.check_importable(dict(type='mmpretrain.ResNet'))
