"""The command that says what a training takes; what computes it has tests of its own."""
import sys

import pytest
from helpers.load_script import load_script

from mmrefseg.engine.training_cost import StepCost


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the tool, with 3 GFLOP and 1 GB per sample; returns the lines by their first words."""
    def run(*arguments):
        tool = load_script('tools/analysis_tools/training_cost.py')
        monkeypatch.setattr(tool, 'step_cost', lambda model, size: StepCost(3e9, 1e9))
        monkeypatch.setattr(sys, 'argv', ['training_cost.py', *arguments])
        tool.main()
        return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())

    return run


def test_what_is_printed(command):
    told = command('segvlm_tiny_refshapes', '--tflops', '0.001', '--cfg-options', 'train_dataloader.batch_size=4',
                   'auto_scale_lr.base_batch_size=8', 'train_cfg.max_iters=36000')
    assert told['steps'] == '36,000'
    assert told['FLOPs'] == '0.02 T per step of 8 samples, 3 G per sample, forward and backward'
    assert told['days'] == '10.00 at 0.001 TFLOP per second'  # 36000 * 8 * 3 s
    assert 'per process with batches of 4: ' in told['memory'] and told['memory'].endswith('activations 4.00')


def test_numbers_out_of_range(command):
    with pytest.raises(SystemExit, match='^training_cost: --samples is 0; it must be above 0'):
        command('segvlm_tiny_refshapes', '--samples', '0')
