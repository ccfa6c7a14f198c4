import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from mmrefseg.apis.command_line import run
from mmrefseg.errors import FileError, InputError, MissingInputError, UserError
from mmrefseg.registry import HOOKS


def end(monkeypatch, capsys, action, *arguments):
    """The exit status and what was said of it."""
    monkeypatch.setattr(sys, 'argv', ['tools/tool.py', *arguments])
    with pytest.raises(SystemExit) as error:
        run(ArgumentParser(), lambda args: action())
    code = error.value.code
    return (1, code) if isinstance(code, str) else (code, capsys.readouterr().err)


def fail(error):
    raise error


@pytest.mark.parametrize('kind', [UserError, InputError, MissingInputError, FileError])
def test_errors_that_a_user_can_mend(monkeypatch, capsys, kind):
    assert end(monkeypatch, capsys, lambda: fail(kind('this is\nwrong'))) == (1, 'tool: this is\nwrong')


@pytest.mark.parametrize(('action', 'message'), [
    (lambda: HOOKS.build(dict(type='NoSuchHook')), "tool: type='NoSuchHook' names no hook that is known"),
    (lambda: HOOKS.build(dict(type='CheckLossesHook', colour=1)),
     "tool: CheckLossesHook has no setting 'colour'. Its settings are none"),
    (lambda: Config(dict(a=[1])).merge_from_dict({'a.7': 2}), 'tool: Index 7 exceeds the length of list [1]'),
])
def test_settings_that_there_are_not(monkeypatch, capsys, action, message):
    status, text = end(monkeypatch, capsys, action)
    assert status == 1 and text.startswith(message)


@pytest.mark.parametrize('kind', [ValueError, OSError, FileNotFoundError, ImportError, KeyError, TypeError,
                                  RuntimeError, AssertionError])
def test_bugs_keep_their_traceback(monkeypatch, kind):
    monkeypatch.setattr(sys, 'argv', ['tool.py'])
    with pytest.raises(kind, match='x'):
        run(ArgumentParser(), lambda args: fail(kind('x')))


def test_debug_shows_the_traceback_of_all(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tool.py', '--debug'])
    with pytest.raises(InputError, match='x'):
        run(ArgumentParser(), lambda args: fail(InputError('x')))


def test_status_and_interruption(monkeypatch, capsys):
    assert end(monkeypatch, capsys, lambda: 3) == (3, '')
    assert end(monkeypatch, capsys, lambda: fail(KeyboardInterrupt())) == (130, '\ntool: interrupted\n')
    monkeypatch.setattr(sys, 'argv', ['tool.py'])
    run(ArgumentParser(), lambda args: None)


class BrokenData:

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise InputError('the image a.jpg is\ndamaged')


def test_message_of_a_data_loaders_worker(monkeypatch, capsys):
    loader = DataLoader(BrokenData(), num_workers=1)
    assert end(monkeypatch, capsys, lambda: list(loader)) == (1, 'tool: the image a.jpg is\ndamaged')


def test_the_log_file_has_the_traceback(monkeypatch, capsys, tmp_path):
    logger = MMLogger.get_instance('test_command_line', log_file=str(tmp_path / 'log'))
    end(monkeypatch, capsys, lambda: fail(InputError('wrong')))
    for handler in logger.handlers:
        handler.close()
    MMLogger._instance_dict.pop('test_command_line')
    text = (tmp_path / 'log').read_text()
    assert 'Traceback' in text and 'InputError: wrong' in text


def test_of_several_processes_one_tells(monkeypatch, capsys, torchruns_store):
    missing = InputError('a file is missing')
    assert end(monkeypatch, capsys, lambda: fail(missing)) == (1, 'tool: a file is missing')
    assert end(monkeypatch, capsys, lambda: fail(missing)) == (1, '')
    assert end(monkeypatch, capsys, lambda: fail(InputError('another one'))) == (1, 'tool: another one')
    assert end(monkeypatch, capsys, lambda: fail(RuntimeError('Connection closed by peer'))) == (1, '')


def test_bugs_are_told_by_all(monkeypatch, torchruns_store):
    monkeypatch.setattr(sys, 'argv', ['tool.py'])
    for _ in range(2):
        with pytest.raises(RuntimeError, match='x'):
            run(ArgumentParser(), lambda args: fail(RuntimeError('x')))


@pytest.mark.parametrize('name', ['in.json', './in.json', 'link.json'])
def test_no_output_replaces_an_input(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    Path('in.json').write_text('precious')
    Path('link.json').symlink_to('in.json')
    monkeypatch.setattr(sys, 'argv', ['tool.py', '--variant', 'a', 'other.json', '--variant', 'b', 'in.json',
                                      '--out', name])
    parser = ArgumentParser()
    parser.add_argument('--variant', nargs='+', action='append')
    parser.add_argument('--out')
    with pytest.raises(SystemExit, match='is a file that is read, and would be lost'):
        run(parser, lambda args: Path(args.out).write_text('report'))
    assert Path('in.json').read_text() == 'precious'


def test_an_output_may_be_written_again(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path('out.json').write_text('old')
    monkeypatch.setattr(sys, 'argv', ['tool.py', 'in.json', '--out', 'out.json'])
    parser = ArgumentParser()
    parser.add_argument('source')
    parser.add_argument('--out')
    run(parser, lambda args: Path(args.out).write_text('new') and None)
    assert Path('out.json').read_text() == 'new'
