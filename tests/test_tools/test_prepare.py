import os
import re
import signal
import sys
import time

import pytest
from helpers.load_script import load_script
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import preparation
from mmrefseg.datasets.refshapes import make_refshapes


@pytest.fixture
def command(monkeypatch):
    """Run a command by its name in this process; returns its exit status or message."""

    def run(name, *arguments):
        tool = load_script(f'tools/dataset_converters/{name}.py')
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        try:
            tool.main()
        except SystemExit as stopped:
            return stopped.code
        return 0

    return run


@pytest.fixture
def source(tmp_path):
    return write_refcoco(tmp_path / 'source', tiny_refcoco())


def test_prepare_verify_and_nothing_to_do(command, source, tmp_path, capsys):
    out = tmp_path / 'out'
    arguments = ('refshapes', '--src', source, '--out', out, '--lmdb', '--workers', 1)
    assert command('prepare', *arguments) == 0
    assert 'refshapes is prepared\n' in capsys.readouterr().out
    assert command('prepare', 'refshapes', '--out', out, '--lmdb', '--verify', '--workers', 1) == 0
    shown = capsys.readouterr().out
    assert 'train │    3 │      3 │           4 │      0 │      unknown' in shown
    assert 'verified: every checksum, image, mask and count holds' in shown and 'nothing to do' in shown
    (out / 'annotations/val.jsonl').write_text('')
    message = command('prepare', *arguments, '--verify')
    assert 'is not well (troubles: 1). Bring its files back' in message and 'images' not in message


def test_what_is_downloaded_is_prepared(command, source, tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(preparation, 'fetch', lambda name, folders: fetched.append((name, folders)))
    arguments = ('refshapes', '--src', source, '--out', tmp_path / 'out', '--workers', 1)
    assert command('prepare', *arguments, '--download') == 0
    assert fetched == [('refshapes', [str(source)])]


def test_what_no_program_may_download(command, tmp_path):
    message = command('prepare', 'voc-prompts', '--download', '--src', tmp_path, '--out', tmp_path / 'out')
    assert message.startswith('prepare: voc-prompts is not among the data sets') and 'by hand' in message


def test_broken_entries_have_a_status_of_their_own(command, source, tmp_path, capsys):
    (source / 'images/two.png').write_bytes(b'')
    arguments = ('refshapes', '--src', source, '--out', tmp_path / 'out', '--workers', 1)
    message = command('prepare', *arguments)
    assert message.startswith('prepare: ') and 'two.png is empty' in message and '\n' not in message
    for _ in range(2):
        assert command('prepare', *arguments, '--skip-broken') == 3
        assert '1 broken entries were left out' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, message', [
    (['refcoco-unc', '--src', 'nowhere'], 'The folder .*nowhere is missing. Name with --src'),
    (['refcoco-unc'], '^prepare: name the folders that hold the files with --src$'),
    (['refcoco-unc', '--src', '.', '--out', '/dev/null'], 'cannot write /dev/null/.unfinished .*name a folder'),
    (['refcoco-unc', '--src', '.'], 'refs.*missing.*refcoco.zip.*train2014.zip'),
])
def test_missing_files(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    told = command('prepare', arguments[0], '--out', 'out', *arguments[1:], '--workers', 1)
    assert re.search(message, told)
    assert not any(path.is_file() for path in tmp_path.rglob('*') if '.unfinished' not in path.parts)


def test_unknown_name(command, tmp_path, capsys):
    assert command('prepare', 'refcoc', '--out', tmp_path) == 2
    assert "invalid choice: 'refcoc'" in capsys.readouterr().err


@pytest.mark.parametrize('stop', [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_gone_on_with(command, tmp_path, capfd, stop):
    """Ctrl-C and kill -9, as a user sends them; in a fork, which has imported everything."""
    make_refshapes(tmp_path / 'shapes', {'train': 40})
    arguments = ('refshapes', '--src', tmp_path / 'shapes', '--out', tmp_path / 'out', '--lmdb', '--workers', 2)
    child = os.fork()
    if child == 0:
        told = command('prepare', *arguments)
        os._exit(told if isinstance(told, int) else 1)
    while not (tmp_path / 'out/.unfinished/data.lmdb').exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.001)
    os.kill(child, stop)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == stop if stop == signal.SIGKILL else os.WEXITSTATUS(status) == 130
    errors = capfd.readouterr().err
    assert 'Traceback' not in errors and ('interrupted; the same command goes on' in errors) == (stop == signal.SIGINT)
    assert not (tmp_path / 'out/prepared.json').exists()
    assert command('prepare', *arguments, '--verify') == 0


def test_validate_jsonl(command, source, capsys):
    (source / 'annotations').mkdir()
    file = source / 'annotations/mine.jsonl'
    file.write_text('{"image": "one.jpg", "expression": "x", "mask": null}\n')
    assert command('validate_jsonl', file, '--workers', 1) == 0
    assert '1 lines, 0 broken' in capsys.readouterr().out
    file.write_text(file.read_text() + '{"image": "one.jpg"}\n')
    assert command('validate_jsonl', file, '--workers', 1) == 1
    shown = capsys.readouterr().out
    assert "mine.jsonl, line 2: 'mask' is missing" in shown and '2 lines, 1 broken' in shown
    assert 'none.jsonl' in command('validate_jsonl', source / 'none.jsonl')
