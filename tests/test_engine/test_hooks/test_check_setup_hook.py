"""Which of the checks run; what each finds out is in test_setup_checks."""
import pytest
from helpers.toy_runner import toy_runner

from mmrefseg.engine.hooks import startup_hooks as check_setup_hook


@pytest.mark.parametrize('off', [None, 'input_size', 'leakage', 'batch_size', 'memory'])
def test_each_check_may_be_switched_off(tmp_path, monkeypatch, off):
    ran = []
    for check, name in (('check_input_sizes', 'input_size'), ('check_leakage', 'leakage'),
                        ('check_batch_size', 'batch_size'), ('warn_of_memory', 'memory')):
        monkeypatch.setattr(check_setup_hook, check, lambda *args, name=name: ran.append(name))
    settings = {off: False} if off else {}
    toy_runner(tmp_path, custom_hooks=[dict(type='CheckSetupHook', **settings)]).train()
    assert ran == [name for name in ('input_size', 'leakage', 'batch_size', 'memory') if name != off]
