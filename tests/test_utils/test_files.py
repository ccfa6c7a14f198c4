import os
import re
import signal
import socket
from pathlib import Path

import pytest

from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.files import (
    check_writable,
    make_subfolder,
    open_regular,
    read_json,
    read_json_object,
    read_regular,
    write_atomically,
)


def test_files_and_links_to_them(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc')
    (tmp_path / 'b').symlink_to('a')
    assert read_regular(tmp_path / 'a', 3) == read_regular(str(tmp_path / 'b'), 3) == b'abc'
    with pytest.raises(InputError, match='a has 3 bytes; no file of this kind of more than 2 is read'):
        read_regular(tmp_path / 'a', 2)


def test_folders_are_not_made_through_links(tmp_path):
    (tmp_path / 'victim').mkdir()
    (tmp_path / 'own').symlink_to('real')  # the user's own
    (tmp_path / 'real').mkdir()
    assert make_subfolder(tmp_path / 'own', 'a/b') == tmp_path / 'own/a/b' and (tmp_path / 'real/a/b').is_dir()
    for link, target, name in (('x', '../victim', 'x'), ('y', '../victim', 'y/deeper'), ('a/z', '/nowhere', 'a/z')):
        (tmp_path / 'real' / link).symlink_to(target)
        with pytest.raises(FileError, match='is a link to .* which would be written: remove the link'):
            make_subfolder(tmp_path / 'own', name)
    assert not list((tmp_path / 'victim').iterdir())
    (tmp_path / 'real/file').touch()
    with pytest.raises(FileError, match='cannot write'):
        make_subfolder(tmp_path / 'own', 'file')


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'link').symlink_to('pipe')
    for path in (tmp_path, tmp_path / 'pipe', tmp_path / 'link', '/dev/zero', '/dev/null'):
        with pytest.raises(InputError, match='is no file, but a folder, pipe or device'):
            open_regular(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / 'socket'))
        with pytest.raises(FileError, match='cannot be opened'):
            open_regular(tmp_path / 'socket')


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'circle').symlink_to('circle')
    for name in ('none', 'file/below'):
        with pytest.raises(MissingInputError, match='is missing'):
            open_regular(tmp_path / name)
    for name in ('circle', 'x' * 300):
        with pytest.raises(FileError, match='cannot be opened'):
            open_regular(tmp_path / name)
    for name in ('a\0', '\ud800'):
        with pytest.raises(InputError, match='is no path'):
            open_regular(name)


@pytest.mark.parametrize('content, value', [(b'[1, "\xc3\xa4"]', [1, 'ä']), (b'\xef\xbb\xbf{"a": 1}', {'a': 1})])
def test_json(tmp_path, content, value):
    (tmp_path / 'a').write_bytes(content)
    assert read_json(tmp_path / 'a') == value


@pytest.mark.parametrize('content', [b'', b'\xef\xbb\xbf', b'{"a"', b'\xff\xfe[\x00]\x00', b'[' * 100_000, b'9' * 5000])
def test_no_json(tmp_path, content):
    (tmp_path / 'a').write_bytes(content)
    with pytest.raises(InputError, match='a is not a whole JSON file .*Mend it'):
        read_json(tmp_path / 'a', mend='Mend it')


def test_write_makes_folders_and_replaces(tmp_path):
    path = tmp_path / 'a' / 'b' / 'file'
    write_atomically(b'old', path)
    with path.open('rb') as reader:
        write_atomically(b'new', str(path))
        assert reader.read() == b'old'
    assert path.read_bytes() == b'new'
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('failure', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_failure_keeps_the_old_content(tmp_path, monkeypatch, failure):
    path = tmp_path / 'file'
    write_atomically(b'old', path)

    def fail(descriptor):
        raise failure

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(type(failure)) as caught:
        write_atomically(b'new', path)
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(failure, OSError):
        assert str(path) in str(caught.value)
        assert 'No space left' in str(caught.value)
        assert caught.value.errno == 28


def test_what_a_killed_process_left_does_not_disturb(tmp_path):
    path = tmp_path / 'file'
    child = os.fork()
    if child == 0:
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        write_atomically(b'half', path)
    os.waitpid(child, 0)
    left, = tmp_path.iterdir()
    assert re.fullmatch(r'\.file\.[0-9a-f]{8}\.unfinished', left.name) and left.read_bytes() == b'half'
    write_atomically(b'whole', path)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b'whole'


def test_two_at_a_time(tmp_path, monkeypatch):
    """One writes while the other is about to finish: both succeed, and the file is whole."""
    path, sync = tmp_path / 'file', os.fsync

    def write_another(descriptor):
        monkeypatch.setattr(os, 'fsync', sync)
        write_atomically(b'inner', path)
        assert path.read_bytes() == b'inner'

    monkeypatch.setattr(os, 'fsync', write_another)
    write_atomically(b'outer', path)
    assert path.read_bytes() == b'outer' and list(tmp_path.iterdir()) == [path]


def test_other_users_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(b'', tmp_path / 'file')
    finally:
        os.umask(before)
    assert (tmp_path / 'file').stat().st_mode & 0o777 == 0o640


def test_a_long_name(tmp_path):
    write_atomically(b'x', tmp_path / ('ä' * 127))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b'x']


def test_check_writable(tmp_path):
    check_writable(tmp_path / 'new' / 'folder')
    assert not list((tmp_path / 'new' / 'folder').iterdir())
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'cannot write .*file.*name a folder'):
        check_writable(tmp_path / 'file' / 'below')


@pytest.mark.skipif(not Path('/proc/self').is_dir(), reason='needs a folder that nobody can write')
def test_folder_that_nobody_can_write():
    with pytest.raises(OSError, match='cannot write /proc/self'):
        check_writable('/proc/self')
    with pytest.raises(OSError, match='cannot write /proc/self/file'):
        write_atomically(b'', '/proc/self/file')


def test_read_json_object(tmp_path):
    path = tmp_path / 'file.json'
    with pytest.raises(FileNotFoundError, match=r'file\.json is missing; the tool writes it'):
        read_json_object(path, 'the tool')
    for content, message in (('{"val": [', 'not a whole JSON file'), ('[1]', 'key for each split')):
        path.write_text(content)
        with pytest.raises(ValueError, match=rf'file\.json .*{message}.*the tool'):
            read_json_object(str(path), 'the tool')
    path.write_text('{"val": [1]}')
    assert read_json_object(path, 'the tool') == {'val': [1]}
