"""What is fetched for strangers: from the internet alone."""
import socket
import threading
from contextlib import suppress

import pytest
from helpers.stdlib_server_thread import in_background

from mmrefseg.apis.inference.image_download import download_image
from mmrefseg.errors import FileError, InputError
from mmrefseg.utils import web_connections as module


def stands_for(monkeypatch, *addresses: str) -> list:
    """Let every name stand for these addresses; gives what is connected to."""
    connected = []

    def connect(place, timeout):
        connected.append(place)
        raise ConnectionRefusedError('nobody there')

    monkeypatch.setattr(socket, 'getaddrinfo', lambda host, port, **_: [
        (socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, port))
        for address in addresses])
    monkeypatch.setattr(socket, 'create_connection', connect)
    return connected


@pytest.mark.parametrize('address', [
    '127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1',
    '255.255.255.255', '::1', '::', 'fe80::1%eth0', 'fc00::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '2002:7f00:1::',
    'ff02::1', '64:ff9b::a00:1', '64:ff9b:1::a00:1', '::ffff:0:a00:1', '::10.0.0.1', 'fec0::1'])
def test_private_addresses_are_not_connected_to(monkeypatch, address):
    connected = stands_for(monkeypatch, address)
    for scheme in ('http', 'https'):
        with pytest.raises(InputError, match='private network'):
            download_image(f'{scheme}://example.org/a.png', public_only=True)
    assert not connected


def test_one_private_address_among_others_is_enough(monkeypatch):
    connected = stands_for(monkeypatch, '93.184.216.34', '127.0.0.1')
    with pytest.raises(InputError, match='private network'):
        download_image('http://example.org/a.png', public_only=True)
    assert not connected


@pytest.mark.parametrize('address', ['93.184.216.34', '2606:2800:220:1::1', '64:ff9b::5db8:d822', '::ffff:8.8.8.8'])
def test_public_addresses_are_connected_to(monkeypatch, address):
    connected = stands_for(monkeypatch, address)
    with pytest.raises(FileError, match='nobody there'):
        download_image('http://example.org/a.png', public_only=True)
    assert connected == [(address, 80)]


def test_what_was_looked_at_is_connected_to(monkeypatch):
    connected = stands_for(monkeypatch, '93.184.216.34')
    with pytest.raises(FileError, match='nobody there'):
        download_image('http://example.org:8080/a.png', public_only=True)
    assert connected == [('93.184.216.34', 8080)]


@pytest.mark.parametrize('host', ['127.0.0.1', '127%2e0.0.1', '%6cocalhost', '[::ffff:127.0.0.1]',
                                  'public.org@localhost', 'Turncoat.org'])
def test_no_page_of_the_web_leads_inside(monkeypatch, host):
    """By no way to write a name, and by none that stands for something else when it is looked up again."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Redirecting(BaseHTTPRequestHandler):

        def do_GET(self):
            asked.append(self.path)
            self.send_response(302 if self.path == '/page' else 200)
            self.send_header('Location', f'http://{host}:{server.server_port}/secret')
            self.end_headers()

        def log_message(self, *_):
            pass

    def look_up(name, *_, **__):
        if '%' in name:
            raise socket.gaierror('no such name')
        looked_up.append(name.lower())
        inside = name != 'public.org' and looked_up.count('turncoat.org') != 1
        return [(socket.AF_INET, 1, 6, '', ('127.0.0.1' if inside else '93.184.216.34', 0))]

    def connect(place, timeout):
        if place not in (('93.184.216.34', 80), ('127.0.0.1', server.server_port)):
            raise ConnectionRefusedError('nobody there')
        connection = socket.socket()
        connection.connect(('127.0.0.1', server.server_port))
        return connection

    asked, looked_up = [], []
    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    monkeypatch.setattr(socket, 'create_connection', connect)
    server = HTTPServer(('127.0.0.1', 0), Redirecting)
    with in_background(server), pytest.raises((InputError, FileError)):
        download_image('http://public.org/page')
    assert asked == ['/page']


def test_redirections_are_looked_at_too(monkeypatch):
    """A server on the internet, as which this machine is let pass, leads to this machine, and to other schemes."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked = []

    class Redirecting(BaseHTTPRequestHandler):

        def do_GET(self):
            asked.append(self.path)
            self.send_response(302)
            self.send_header('Location', self.path[1:])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(('127.0.0.1', 0), Redirecting)
    with in_background(server):
        monkeypatch.setattr(module, 'is_public', lambda host, seen=[]: not seen.append(host) and len(seen) % 2 == 1)
        for target in (f'http://127.0.0.1:{server.server_port}/secret', f'http://localhost:{server.server_port}/secret'):
            with pytest.raises(InputError, match='private network'):
                download_image(f'http://127.0.0.1:{server.server_port}/{target}', public_only=True)
        for target in ('ftp://127.0.0.1/a', 'file:///etc/passwd', 'data:,a'):
            monkeypatch.setattr(module, 'is_public', lambda host: True)
            with pytest.raises((FileError, InputError), match='no address on the web|is not allowed'):
                download_image(f'http://127.0.0.1:{server.server_port}/{target}', public_only=True)
    assert len(asked) == 5 and '/secret' not in asked


@pytest.mark.parametrize('url', ['ftp://example.org/a', 'file:///etc/passwd', 'data:,a', 'gopher://a/b'])
def test_other_schemes(url):
    with pytest.raises((FileError, InputError)):
        download_image(url, public_only=True)


DRIPS = {
    'headers': (b'HTTP/1.1 200 OK\r\nX: ', b'a'),
    'interim answers': (b'', b'HTTP/1.1 100 Continue\r\n\r\n'),
    'the length of a chunk': (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', b'0'),
    'trailers': (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n', b'X: y\r\n'),
    'a body of unknown length': (b'HTTP/1.1 200 OK\r\n\r\n', b'a'),
}


@pytest.mark.parametrize('kind', DRIPS)
@pytest.mark.parametrize('public_only', [False, True])
def test_servers_that_never_end(monkeypatch, kind, public_only):
    """Each byte comes long before the server counts as silent."""
    monkeypatch.setattr(module, 'is_public', lambda host: True)
    begin, drip = DRIPS[kind]
    over = threading.Event()

    def serve(listening):
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(begin)
            while not over.wait(0.02):
                connection.sendall(drip)

    with socket.create_server(('127.0.0.1', 0)) as listening:
        threading.Thread(target=serve, args=(listening, ), daemon=True).start()
        try:
            with pytest.raises(FileError, match='took more than 0 seconds and was given up'):
                download_image(f'http://127.0.0.1:{listening.getsockname()[1]}/a.png', longest=0.2,
                               public_only=public_only)
        finally:
            over.set()


def test_a_lookup_that_never_ends(monkeypatch):
    """The whole time counts, and nothing is connected to when it is over."""
    over = threading.Event()
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *_, **__: over.wait(20) and [])
    try:
        for public_only in (False, True):
            with pytest.raises(FileError, match='took more than 0 seconds and was given up'):
                download_image('http://slow.example/a.png', longest=0.2, public_only=public_only)
    finally:
        over.set()


@pytest.mark.parametrize('public_only', [False, True])
def test_a_name_is_looked_up_once(monkeypatch, public_only):
    """One that changes its mind between the look and the connection is connected to where it was looked at."""
    asked, connected = [], stands_for(monkeypatch, '93.184.216.34')
    first = socket.getaddrinfo

    def look_up(host, port, **kwargs):
        asked.append(host)
        monkeypatch.setattr(socket, 'getaddrinfo', lambda *_, **__: [(socket.AF_INET, 1, 6, '', ('127.0.0.1', 0))])
        return first(host, port, **kwargs)

    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    with module.Connections(5, public_only) as connections:
        assert not connections.leads_inside('http://a.example/', 'http://a.example/')
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                connections.connect(('a.example', 80), 5)
    assert asked == ['a.example'] and connected == [('93.184.216.34', 80)] * 2


def test_every_place_of_a_name_is_tried(monkeypatch):
    connected = stands_for(monkeypatch, '93.184.216.34', '2606:2800:220:1::1')
    with pytest.raises(FileError, match='nobody there'):
        download_image('http://example.org/a.png', public_only=True)
    assert connected == [('93.184.216.34', 80), ('2606:2800:220:1::1', 80)]


PUBLIC, PRIVATE = '93.184.216.34', '10.0.0.1'


@pytest.mark.parametrize(('here', 'there', 'inside'), [
    ([PUBLIC], [PRIVATE], True), ([PUBLIC], [PUBLIC, PRIVATE], True), ([PUBLIC, PRIVATE], [PRIVATE], True),
    ([], [PRIVATE], True), ([PUBLIC], [PUBLIC], False), ([PRIVATE], [PRIVATE], False), ([PRIVATE], [PUBLIC], False),
    ([PUBLIC], [], False)])
def test_what_leads_inside(monkeypatch, here, there, inside):
    """A name of several machines counts as a stranger's."""
    places = {'here.example': here, 'there.example': there}

    def look_up(host, port, **_):
        if not places[host]:
            raise socket.gaierror('unknown')
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (place, 0)) for place in places[host]]

    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    assert module.Connections().leads_inside('http://here.example/', 'http://there.example/') == inside


@pytest.mark.parametrize('host', ['a' * 70, 'a..b'])
def test_names_of_no_machine(host):
    with pytest.raises(InputError, match='is no name of a machine'):
        download_image(f'http://{host}.example/a.png')
