from argparse import ArgumentParser
from unittest.mock import Mock

import pytest
import torch
from helpers.toy_runner import ToyDataset, ToyMetric, toy_runner
from mmengine.config import Config
from mmengine.evaluator import Evaluator

import mmrefseg
from mmrefseg.apis.config_to_runner import add_common_arguments, load_config, run_test, start_testing
from mmrefseg.errors import FileError


@pytest.mark.parametrize(('amp', 'dtype'), [(False, torch.float32), (True, torch.bfloat16)])
def test_mixed_precision_reaches_the_model(tmp_path, amp, dtype):
    runner = toy_runner(tmp_path, cfg=Config(dict(test_cfg=dict(type='TestLoop'))))
    runner.call_hook('before_run')
    seen = set()
    runner.model.linear.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    loader = dict(dataset=ToyDataset(), batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False))
    assert run_test(runner, loader, Evaluator(ToyMetric([7.0])), amp) == {'mIoU': 7.0}
    assert seen == {dtype}


DEFAULT_HOOKS = {name: hook['type'] for name, hook in
                 Config.fromfile(mmrefseg.config_path('_base_/default_runtime.py')).default_hooks.items()}


@pytest.mark.parametrize('name', DEFAULT_HOOKS)
def test_a_config_that_inherits_drops_any_of_the_default_hooks_by_none(tmp_path, name):
    config = tmp_path / 'mine.py'
    config.write_text(f'_base_ = {mmrefseg.config_path("sera_tiny_refshapes")!r}\n'
                      f'default_hooks = dict({name}=None)\n')
    parser = ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    cfg = load_config(parser.parse_args([str(config), '--work-dir', str(tmp_path / 'run')]))
    runner = toy_runner(tmp_path / 'run', default_hooks=cfg.default_hooks)
    kinds = set(DEFAULT_HOOKS.values())
    assert {type(hook).__name__ for hook in runner.hooks} & kinds == kinds - {DEFAULT_HOOKS[name]}


def test_a_config_is_not_written_through_a_link(tmp_path):
    """mmengine writes the config of a run into its folder, which may have come from somebody else."""
    victim, work_dir = tmp_path / 'victim.py', tmp_path / 'run'
    victim.write_text('precious')
    work_dir.mkdir()
    (work_dir / 'sera_tiny_refshapes.py').symlink_to(victim)
    parser = ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    arguments = parser.parse_args(['sera_tiny_refshapes', '--work-dir', str(work_dir)])
    with pytest.raises(FileError, match='is a link to .*victim.py.*remove the link'):
        load_config(arguments)
    assert victim.read_text() == 'precious'


def test_testing_does_not_go_on_with_a_training(monkeypatch):
    """The config that a resumed training writes says ``resume``, but tested weights hold no optimizer's state."""
    runner = Mock()
    monkeypatch.setattr('mmrefseg.apis.config_to_runner.Runner', runner)
    start_testing(Config(dict(resume=True, load_from='epoch_1.pth')), 'finetuned.pth')
    cfg, = runner.from_cfg.call_args.args
    assert (cfg.load_from, cfg.resume) == ('finetuned.pth', False)
