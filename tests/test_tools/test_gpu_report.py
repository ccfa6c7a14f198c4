"""The report on a GPU; what of it needs none."""
import subprocess
from types import ModuleType

import pytest
import torch
from helpers.load_script import ROOT, load_script

SCRIPT = ROOT / 'tools/analysis_tools/gpu_report.sh'


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/gpu_report.py')


@pytest.mark.parametrize('arguments', [(), ('--small', ), ('out.md', '--big'), ('out.md', '--small', 'more')])
def test_arguments_that_are_none(arguments):
    result = subprocess.run(['bash', SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert 'usage: bash tools/analysis_tools/gpu_report.sh OUT.md [--small]' in result.stderr


def test_operators_agree(tool):
    rows = tool.deformable_convolutions(tool.SMALL_SIZE._replace(side=5, amp=False), torch.device('cpu'))
    found = {(operator, precision): [float(value) for value in values] for operator, precision, *values in rows}
    assert {operator for operator, _ in found} >= {'torchvision', 'torch'}
    assert found['torchvision', 'float32'][2:] == [0, 0]
    forward, both, outputs, gradients = found['torch', 'float32']
    assert 0 < forward < both and outputs < 1e-5 and gradients < 1e-4


def test_aims_by_hand(tool):
    numbers = [dict(config=config, batch=batch, share=share, speed=speed) for config, batch, share, speed in (
        ('sera_dinov2_refcoco', 1, 0.2, 90), ('sera_dinov2_refcoco', 64, 0.45, 90),
        ('segvlm_r101_refcoco', 1, 0.9, 44), ('segvlm_r101_refcoco', 16, 0.9, 99))]
    rows = tool.aims([*numbers, {}], 61, tool.FULL_SIZE)
    assert [row[2:] for row in rows] == [('45%', 'reached'), ('44.0', 'missed'), ('61 s', 'missed')]
    assert tool.aims([{}], 61, tool.SMALL_SIZE) == []


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason='there are several GPUs')
def test_one_gpu_trains_alone(tool, tmp_path):
    assert tool.distributed_training(tmp_path).startswith('Not run: there are ')
    assert not list(tmp_path.iterdir())
