"""The command that makes files to publish."""
import hashlib
import re
import runpy
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers.toy_pretrained import ToyPretrainedModel, save_toy_weights, toy_pretrained_runner

from mmrefseg.checkpoints.reading import load_from_local

TOOL = Path(__file__).parents[2] / 'tools/model_converters/publish_model.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two equal runs, of which ``full`` saves everything and ``delta`` only what was trained."""
    folder = tmp_path_factory.mktemp('publish')
    pretrained = save_toy_weights(folder / 'toy.pth')
    for name in ('full', 'delta'):
        toy_pretrained_runner(
            folder / name, pretrained, custom_hooks=[dict(type='EMAHook')],
            param_scheduler=dict(type='LinearLR', start_factor=0.5),
            checkpoint_hook=dict(trained_only=name == 'delta')).train()
    return folder


@pytest.fixture
def command(monkeypatch, folder, capsys):

    def call(*arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['publish_model.py', *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return folder / capsys.readouterr().out.removeprefix('The file to publish is ').strip()

    return call


def assert_published(path, source):
    content = path.read_bytes()
    assert path.stem.rpartition('-')[2] == hashlib.sha256(content).hexdigest()[:8]
    published, original = load_from_local(str(path)), load_from_local(source)
    assert published.keys() == {'meta', 'state_dict'}
    assert published['meta'] == original['meta']
    assert published['state_dict'].keys() == original['state_dict'].keys()
    assert all(torch.equal(value, original['state_dict'][name]) for name, value in published['state_dict'].items())


def test_everything_is_published_that_belongs_to_the_model(command, folder):
    source = folder / 'full/iter_4.pth'
    assert {'optimizer', 'param_schedulers', 'message_hub', 'ema_state_dict'} < load_from_local(source).keys()
    path = command('full/iter_4.pth', 'new/sera.v1.pth')
    assert re.fullmatch(r'new/sera\.v1-[0-9a-f]{8}\.pth', str(path.relative_to(folder)))
    assert_published(path, source)
    assert list((folder / 'new').iterdir()) == [path]


def test_a_checkpoint_of_what_was_trained_stays_one(command, folder):
    path = command('delta/iter_4.pth', 'delta.pth')
    assert_published(path, folder / 'delta/iter_4.pth')
    runner = toy_pretrained_runner(folder / 'test', str(folder / 'toy.pth'), load_from=str(path))
    runner.call_hook('before_run')
    runner.load_or_resume()
    expected = load_from_local(folder / 'full/iter_4.pth')['state_dict']
    assert all(torch.equal(value, expected[name]) for name, value in runner.model.state_dict().items())


def test_the_same_weights_have_the_same_name(command):
    first = command('full/iter_4.pth', 'once.pth')
    assert command('full/iter_4.pth', 'once.pth') == first
    again = command(first, 'twice.pth')
    assert again.read_bytes() == first.read_bytes()
    assert command('full/iter_2.pth', 'once.pth') != first


@pytest.mark.parametrize('name', ['plain.pth', 'plain.safetensors'])
def test_plain_weights(command, folder, name):
    weights = ToyPretrainedModel().state_dict()
    save = safetensors.torch.save_file if name.endswith('safetensors') else torch.save
    save(weights, folder / name)
    published = load_from_local(str(command(name, 'weights.pth')))
    assert published['meta'] == {}
    assert all(torch.equal(weights[key], value) for key, value in published['state_dict'].items())
    assert published['state_dict'].keys() == weights.keys()


@pytest.mark.parametrize(('source', 'target', 'message'), [
    ('nowhere.pth', 'no.pth', r'no checkpoint nowhere\.pth: there is no such file'),
    ('text.pth', 'no.pth', r'text\.pth is no PyTorch checkpoint'),
    ('numbers.pth', 'no.pth', r'numbers\.pth is no checkpoint: it has no state_dict with weights'),
    ('empty.pth', 'no.pth', r'empty\.pth is no checkpoint: it has no state_dict with weights'),
    ('list.pth', 'no.pth', r'list\.pth holds a list'),
    ('full/iter_4.pth', 'no', r'must end in \.pth, got no'),
    ('full/iter_4.pth', 'text.pth/no.pth', r'cannot write text\.pth/no-[0-9a-f]{8}\.pth'),
])
def test_mistakes_get_one_line(command, folder, source, target, message):
    (folder / 'text.pth').write_text('no weights')
    torch.save({'meta': {}, 'epoch': 3}, folder / 'numbers.pth')
    torch.save({'state_dict': {}}, folder / 'empty.pth')
    torch.save([torch.ones(1)], folder / 'list.pth')
    with pytest.raises(SystemExit, match=f'^publish_model: .*{message}') as stopped:
        command(source, target)
    assert '\n' not in stopped.value.code
    assert not list(folder.glob('no*'))
