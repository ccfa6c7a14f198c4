import os
import socket

import pytest

from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.json_files import read_json
from mmrefseg.utils.regular_files import open_regular, read_regular


def test_files_and_links_to_them(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc')
    (tmp_path / 'b').symlink_to('a')
    assert read_regular(tmp_path / 'a', 3) == read_regular(str(tmp_path / 'b'), 3) == b'abc'
    with pytest.raises(InputError, match='a has 3 bytes; no file of this kind of more than 2 is read'):
        read_regular(tmp_path / 'a', 2)


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
