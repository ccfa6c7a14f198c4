import pytest

from mmrefseg.utils import collect_env as machine


@pytest.mark.parametrize('mmcv', ['mmcv', 'mmcv-lite', 'onedl-mmcv'])
def test_versions_are_those_of_whatever_brings_a_library(monkeypatch, mmcv):
    monkeypatch.setattr(machine, 'packages_distributions', lambda: {'mmcv': [mmcv], 'torch': ['torch'], 'x': ['y']})
    monkeypatch.setattr(machine, 'version', {mmcv: '2.1.0', 'torch': '2.11.0'}.__getitem__)
    found = machine.versions()
    assert found.keys() == {'python', 'mmrefseg', 'torch', mmcv}
    assert found[mmcv] == '2.1.0'
