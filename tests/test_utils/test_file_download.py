"""Downloads from servers that drop, truncate, redirect and lie."""
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from helpers.file_server import Served, serving

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils import file_download, web_connections
from mmrefseg.utils.file_download import RemoteFile, download, remote_file, verify_download
from mmrefseg.utils.locks import locked_file

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHOLE = Served(CONTENT)


@pytest.fixture
def server():
    with serving({'/weights.pth': WHOLE}) as server:
        server.url = f'{server.address}/weights.pth'
        yield server


def part_of(url, path):
    """The unfinished file of a download."""
    return path.with_name(f'{path.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part')


def test_a_whole_file(server, tmp_path):
    download(server.url, tmp_path / 'new/weights.pth', SHA256, len(CONTENT))
    assert (tmp_path / 'new/weights.pth').read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['weights.pth']


@pytest.mark.parametrize('trick', [{}, dict(ignores_ranges=True), dict(without_size=True)])
def test_goes_on_where_it_stopped(server, tmp_path, trick):
    server.files['/weights.pth'] = WHOLE._replace(cut=1000)
    with pytest.raises(OSError, match=r'ended after 1000 of 10240 bytes of weights\.pth; run it again'):
        download(server.url, tmp_path / 'weights.pth', SHA256)
    assert not (tmp_path / 'weights.pth').exists()
    server.files['/weights.pth'] = WHOLE._replace(**trick)
    download(server.url, tmp_path / 'weights.pth', SHA256)
    assert server.asked == [('/weights.pth', None), ('/weights.pth', 'bytes=1000-')]
    assert (tmp_path / 'weights.pth').read_bytes() == CONTENT


def test_of_two_at_a_time_one_fetches(server, tmp_path, monkeypatch):
    """Both would append to the same unfinished file."""
    both = threading.Barrier(2)
    monkeypatch.setattr(file_download, 'locked_file', lambda *args, **kwargs: (
        both.wait(10), locked_file(*args, **kwargs))[1])
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: download(server.url, tmp_path / 'weights.pth', SHA256), range(2)))
    assert (tmp_path / 'weights.pth').read_bytes() == CONTENT and server.asked == [('/weights.pth', None)]
    assert [path.name for path in tmp_path.iterdir()] == ['weights.pth']


@pytest.mark.parametrize('size', [None, len(CONTENT)])
def test_a_complete_part_is_only_verified(server, tmp_path, size):
    part_of(server.url, tmp_path / 'weights.pth').write_bytes(CONTENT)
    download(server.url, tmp_path / 'weights.pth', SHA256, size)
    assert (tmp_path / 'weights.pth').read_bytes() == CONTENT


def test_a_part_that_is_a_link_is_not_written_through(server, tmp_path):
    (tmp_path / 'victim').write_bytes(CONTENT[:500])
    part_of(server.url, tmp_path / 'weights.pth').symlink_to('victim')
    download(server.url, tmp_path / 'weights.pth', SHA256)
    assert (tmp_path / 'victim').read_bytes() == CONTENT[:500] and server.asked == [('/weights.pth', None)]


def test_a_part_of_another_address_is_not_gone_on_with(server, tmp_path):
    part_of('https://example.org/weights.pth', tmp_path / 'weights.pth').write_bytes(b'other bytes')
    download(server.url, tmp_path / 'weights.pth', SHA256)
    assert server.asked == [('/weights.pth', None)]


def test_a_part_that_is_too_long_begins_anew(server, tmp_path):
    path = tmp_path / 'weights.pth'
    part_of(server.url, path).write_bytes(CONTENT + b'more')
    with pytest.raises(FileError, match='has 10240 bytes now, but 10244 came before'):
        download(server.url, path)
    part_of(server.url, path).write_bytes(CONTENT + b'more')
    download(server.url, path, size=len(CONTENT))
    assert path.read_bytes() == CONTENT


def test_damage_is_refused_and_removed(server, tmp_path):
    part_of(server.url, tmp_path / 'weights.pth').write_bytes(b'x' * 1000)
    with pytest.raises(InputError, match=f'SHA-256 is not {SHA256}'):
        download(server.url, tmp_path / 'weights.pth', SHA256)
    with pytest.raises(InputError, match='another file: it is odd'):
        download(server.url, tmp_path / 'weights.pth', trouble_of=lambda path: f'it is odd: {path.read_bytes()[:3]}')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('trick', 'size', 'error', 'message'), [
    (dict(declared=20000), None, FileError, 'ended after 10240 of 20000 bytes'),
    (dict(declared=20000), 10240, InputError, r'offers 20000 bytes as weights\.pth, which has 10240'),
    (dict(without_size=True, cut=99), 10240, FileError, 'ended after 99 of 10240'),
    (dict(without_size=True), 99, InputError, r'gives more than the 99 bytes of weights\.pth'),
    (dict(declared=1 << 40), None, InputError, 'offers 1099511627776 bytes as weights.pth, more than 68719476736'),
    (dict(kind='text/html; charset=utf-8'), None, InputError, 'a web page instead of weights.pth'),
    (dict(redirect='ftp://127.0.0.1/weights.pth'), None, InputError, 'no address on the web'),
    (dict(redirect='file:///etc/passwd'), None, (InputError, FileError), 'file:///etc/passwd'),
    (dict(redirect='/nothing'), None, FileError, '404'),
    (dict(redirect='/weights.pth'), None, FileError, 'cannot be downloaded'),
])
def test_lies(server, tmp_path, trick, size, error, message):
    server.files['/weights.pth'] = WHOLE._replace(**trick)
    with pytest.raises(error, match=message):
        download(server.url, tmp_path / 'weights.pth', size=size)
    assert not (tmp_path / 'weights.pth').exists()


def test_another_piece_than_was_asked_for(server, tmp_path):
    part_of(server.url, tmp_path / 'weights.pth').write_bytes(CONTENT[:500])
    server.files['/weights.pth'] = WHOLE._replace(restarts=True)
    with pytest.raises(FileError, match='another piece'):
        download(server.url, tmp_path / 'weights.pth')
    download(server.url, tmp_path / 'weights.pth', SHA256)


def test_redirections(server, tmp_path, monkeypatch):
    server.files['/old.pth'] = Served(redirect=server.url)
    download(f'{server.address}/old.pth', tmp_path / 'a.pth', SHA256)
    monkeypatch.setattr(web_connections.Connections, 'leads_inside', lambda _, here, there: here.endswith('old.pth'))
    with pytest.raises(InputError, match='in a private network'):
        download(f'{server.address}/old.pth', tmp_path / 'b.pth')


def test_a_full_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(file_download.shutil, 'disk_usage', lambda folder: SimpleNamespace(free=10239))
    with pytest.raises(FileError, match=r'weights\.pth needs 10240 bytes more, but .* has 10239 left'):
        download(server.url, tmp_path / 'weights.pth')


def test_an_unknown_address(server, tmp_path):
    with pytest.raises(FileError, match=r'/nothing\.pth cannot be downloaded to .*weights\.pth: .*404.*again to go on'):
        download(f'{server.address}/nothing.pth', tmp_path / 'weights.pth')
    with pytest.raises(InputError, match='no address on the web'):
        download('file:///etc/passwd', tmp_path / 'weights.pth')


def test_no_connection_and_no_folder(server, tmp_path):
    with pytest.raises(FileError, match=r'127\.0\.0\.1:9/a\.pth cannot be downloaded .*refused.*yourself'):
        download('http://127.0.0.1:9/a.pth', tmp_path / 'a.pth')
    (tmp_path / 'file').touch()
    with pytest.raises(FileError, match=r'cannot be downloaded to .*file/a\.pth'):
        download(server.url, tmp_path / 'file' / 'a.pth')


@pytest.mark.parametrize(('etag', 'expected'), [(f'"{SHA256}"', SHA256), ('"a git hash"', None), (None, None)])
@pytest.mark.parametrize('redirect', ['/elsewhere', None])
def test_remote_file(server, etag, expected, redirect):
    server.files['/weights.pth'] = WHOLE._replace(etag=etag, redirect=redirect, linked_size=len(CONTENT))
    assert remote_file(server.url) == RemoteFile(len(CONTENT), expected)
    assert server.asked == [], 'the file itself is not asked for'


def test_an_address_without_a_file_has_no_sha256(server):
    with pytest.raises(FileError, match=r'/nothing\.pth cannot be reached: .*404'):
        remote_file(f'{server.address}/nothing.pth')


@pytest.mark.parametrize(('expected', 'trouble'), [
    (RemoteFile(len(CONTENT), SHA256), None), (RemoteFile(len(CONTENT), None), None), (RemoteFile(None, None), None),
    (RemoteFile(len(CONTENT) + 1, SHA256), 'has 10240 bytes instead of 10241'),
    (RemoteFile(None, '0' * 64), f'SHA-256 is {SHA256} instead of 0000'),
])
def test_verify_download(tmp_path, expected, trouble):
    path = tmp_path / 'weights.pth'
    path.write_bytes(CONTENT)
    if trouble is None:
        verify_download(path, expected)
    else:
        with pytest.raises(ValueError, match=rf'weights\.pth is not the published file: it\w* {trouble}.*Remove it'):
            verify_download(path, expected)
    assert path.read_bytes() == CONTENT


def test_without_a_network():
    with pytest.raises(FileError, match=r'127\.0\.0\.1:9/weights\.pth cannot be reached: .*refused.*connection'):
        remote_file('http://127.0.0.1:9/weights.pth')
