import pytest

from mmrefseg.utils import collect_env as machine


@pytest.mark.parametrize('mmcv', ['mmcv', 'mmcv-lite', 'onedl-mmcv'])
def test_versions_are_those_of_whatever_brings_a_library(monkeypatch, mmcv):
    monkeypatch.setattr(machine, 'packages_distributions', lambda: {'mmcv': [mmcv], 'torch': ['torch'], 'x': ['y']})
    monkeypatch.setattr(machine, 'version', {mmcv: '2.1.0', 'torch': '2.11.0'}.__getitem__)
    found = machine.versions()
    assert found.keys() == {'python', 'mmrefseg', 'torch', mmcv}
    assert found[mmcv] == '2.1.0'


def test_a_system_that_does_not_tell_which_cores_are_ours(monkeypatch):
    monkeypatch.setattr(machine.os, 'sched_getaffinity', lambda process: {0, 3}, raising=False)
    assert machine.usable_cores() == 2
    monkeypatch.delattr(machine.os, 'sched_getaffinity')
    monkeypatch.setattr(machine.os, 'cpu_count', lambda: 5)
    assert machine.usable_cores() == 5


def test_a_pytorch_without_the_library_that_knows_bfloat16(monkeypatch):
    monkeypatch.setattr('torch.backends.mkldnn.is_available', lambda: False)
    assert machine.computes_in_bfloat16('cpu') is False
