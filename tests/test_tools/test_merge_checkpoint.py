"""The command that makes full checkpoints."""
import runpy
import sys
from pathlib import Path

import pytest
import torch
from helpers.toy_pretrained import save_toy_weights, toy_pretrained_runner

from mmrefseg.checkpoints.reading import load_from_local

TOOL = Path(__file__).parents[2] / 'tools/model_converters/merge_checkpoint.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two equal runs, of which ``full`` saves everything and ``delta`` only what was trained, and their config."""
    folder = tmp_path_factory.mktemp('merge')
    pretrained = save_toy_weights(folder / 'toy.pth')
    save_toy_weights(folder / 'other.pth', seed=8)
    for name in ('full', 'delta'):
        toy_pretrained_runner(
            folder / name, pretrained, custom_hooks=[dict(type='EMAHook')],
            checkpoint_hook=dict(trained_only=name == 'delta')).train()
    (folder / 'config.py').write_text(
        "custom_imports = dict(imports=['helpers.toy_pretrained'])\n"
        "default_scope = 'mmrefseg'\n"
        f"model = dict(type='ToyPretrainedModel', checkpoint={pretrained!r})\n")
    return folder


@pytest.fixture
def command(monkeypatch, folder):

    def call(*arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['merge_checkpoint.py', *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_merging(command, folder, capfd):
    capfd.readouterr()
    command('config.py', 'delta/iter_2.pth', 'new/merged.pth')
    told = capfd.readouterr()
    assert told.out.splitlines()[-1] == 'The full checkpoint is new/merged.pth'
    assert 'head.1.weight' not in told.out + told.err, "mmengine's report on all parameters"
    full, merged = load_from_local(folder / 'full/iter_2.pth'), load_from_local(folder / 'new/merged.pth')
    assert merged.keys() == full.keys()
    assert merged['meta'].keys() == full['meta'].keys()
    for key in ('state_dict', 'ema_state_dict'):
        assert_same(merged[key], full[key])
    resumed = toy_pretrained_runner(
        folder / 'resumed', str(folder / 'toy.pth'), custom_hooks=[dict(type='EMAHook')], resume=True,
        load_from=str(folder / 'new/merged.pth'), checkpoint_hook=dict(trained_only=False))
    resumed.train()
    end = load_from_local(folder / 'full/iter_4.pth')['ema_state_dict']
    assert_same({f'module.{name}': value for name, value in resumed.model.state_dict().items()},
                {name: value for name, value in end.items() if name != 'steps'})


@pytest.mark.parametrize(('change', 'message'), [
    ({'config': 'nowhere'}, "no config 'nowhere'"),
    ({'delta': 'nowhere.pth'}, r'no checkpoint nowhere\.pth: there is no such file'),
    ({'delta': 'config.py'}, r'config\.py is no PyTorch checkpoint'),
    ({'delta': 'full/iter_4.pth'}, r'full/iter_4\.pth is not a checkpoint that was saved with trained_only'),
    ({'delta': 'toy.pth'}, r'toy\.pth is not a checkpoint that was saved with trained_only'),
    ({'checkpoint': 'other.pth'}, r'backbone was trained upon .* init_cfg\.checkpoint'),
    ({'checkpoint': 'None'}, r'from no pretrained file'),
    ({'checkpoint': 'nowhere.pth'}, r'needs the pretrained weights that it was trained upon: .*nowhere\.pth'),
    ({'out': 'config.py/merged.pth'}, r'cannot write config\.py/merged\.pth'),
])
def test_mistakes_get_one_line(command, folder, change, message):
    use = {'config': 'config.py', 'delta': 'delta/iter_4.pth', 'out': 'no.pth', 'checkpoint': '', **change}
    options = ['--cfg-options', f'model.checkpoint={use["checkpoint"]}'] if use['checkpoint'] else []
    with pytest.raises(SystemExit, match=f'^merge_checkpoint: .*({message})') as stopped:
        command(use['config'], use['delta'], use['out'], *options)
    assert '\n' not in stopped.value.code
    assert not (folder / 'no.pth').exists()


def test_weights_of_another_model(command, folder):
    checkpoint = load_from_local(folder / 'delta/iter_4.pth')
    del checkpoint['state_dict']['head.1.weight']
    torch.save(checkpoint, folder / 'cut.pth')
    with pytest.raises(SystemExit, match=r'(?s)cut\.pth is of another architecture .* missing there: head\.1\.weight'):
        command('config.py', 'cut.pth', 'no.pth')
