"""The command that makes RefShapes."""
import sys

import pytest
from helpers.load_script import load_script

from mmrefseg.datasets.refshapes import writer


@pytest.fixture
def command(monkeypatch):
    tool = load_script('tools/dataset_converters/refshapes.py')

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['refshapes.py', *arguments])
        tool.main()
    return call


def test_command(command, tmp_path, capsys):
    few = ['--num-train', '2', '--num-val', '1', '--num-testA', '1', '--num-testB', '0', '--workers', '1']
    command(str(tmp_path / 'a'), *few)
    assert '4 images' in capsys.readouterr().out
    command(str(tmp_path / 'a'), *few)
    assert 'nothing to do' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='other settings'):
        command(str(tmp_path / 'a'), *few, '--image-size', '128', '96')
    with pytest.raises(SystemExit, match='other settings'):
        command(str(tmp_path / 'a'), *few, '--style', 'dusk')
    with pytest.raises(SystemExit, match='cannot write .*name a folder'):
        command(str(tmp_path / 'a' / 'refshapes.json' / 'b'), *few)


def test_command_with_phrasecuts_format(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ['--num-train', '2', '--num-val', '0', '--num-test', '1', '--num-miniv', '0', '--workers', '1']
    command('--format', 'phrasecut', *few)
    assert 'data/refshapes-phrasecut: 3 images' in capsys.readouterr().out
    assert (tmp_path / 'data/refshapes-phrasecut/refer_train.json').is_file()
    with pytest.raises(SystemExit, match=r"unknown splits \['testA'\]"):
        command('--format', 'phrasecut', '--num-testA', '1')


def test_command_interrupted(command, tmp_path, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt
    monkeypatch.setattr(writer, 'track', interrupt)
    with pytest.raises(SystemExit) as stopped:
        command(str(tmp_path / 'a'), '--workers', '1', '--num-train', '2')
    assert stopped.value.code == 130
    assert 'interrupted' in capsys.readouterr().err
    assert list((tmp_path / 'a').iterdir()) == []
