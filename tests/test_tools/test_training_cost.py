"""The command that says what a training takes; the numbers themselves are tested with what computes them."""
import sys

import pytest
from helpers.tools import load_script

from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.engine.training_cost import step_cost


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['training_cost.py', *arguments])
        load_script('tools/analysis_tools/training_cost.py').main()
        return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())

    return run


def test_what_is_printed(command):
    config = read_config('segvlm_tiny_refshapes')
    told = command('segvlm_tiny_refshapes', '--tflops', '0.001', '--cfg-options', 'train_dataloader.batch_size=4',
                   'auto_scale_lr.base_batch_size=8', 'train_cfg.max_iters=7')
    flops = step_cost(build_model(config), 128).flops
    assert told['steps'] == '7'
    assert told['FLOPs'].startswith(f'{8 * flops / 1e12:.2f} T per step of 8 samples, {flops / 1e9:.0f} G per sample')
    assert told['days'] == f'{7 * 8 * flops / 1e9 / 86400:.2f} at 0.001 TFLOP per second'
    assert 'with batches of 4: ' in told['memory']


def test_numbers_out_of_range(command):
    with pytest.raises(SystemExit, match='^training_cost: --samples is 0; it must be above 0'):
        command('segvlm_tiny_refshapes', '--samples', '0')
