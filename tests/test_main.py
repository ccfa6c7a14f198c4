import sys

import pytest

from mmrefseg.__main__ import COMMANDS, help_text, main
from mmrefseg.utils.shipped_files import shipped_folder
from mmrefseg.version import __version__


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['mmrefseg', *arguments])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    main()


@pytest.mark.parametrize('name', COMMANDS)
def test_each_command_is_a_tool_that_explains_itself(monkeypatch, capsys, name):
    with pytest.raises(SystemExit) as ending:
        run(monkeypatch, name, '--help')
    assert ending.value.code == 0
    assert capsys.readouterr().out.startswith(f'usage: mmrefseg {name} ')


def test_a_tools_ending_is_the_commands(monkeypatch):
    with pytest.raises(SystemExit) as ending:
        run(monkeypatch, 'params', 'no_such_config')
    assert ending.value.code.startswith("mmrefseg params: mmrefseg has no config 'no_such_config'")


@pytest.mark.parametrize('arguments', [(), ('--help', ), ('-h', )])
def test_help(monkeypatch, capsys, arguments):
    run(monkeypatch, *arguments)
    assert capsys.readouterr().out == help_text() + '\n'


def test_version(monkeypatch, capsys):
    run(monkeypatch, '--version')
    assert capsys.readouterr().out == f'mmrefseg {__version__}\n'


def test_unknown_command(monkeypatch):
    with pytest.raises(SystemExit, match="there is no command 'trian'; did you mean train"):
        run(monkeypatch, 'trian')


def test_the_tools_are_there():
    assert all((shipped_folder('tools') / script).is_file() for script, _ in COMMANDS.values())
