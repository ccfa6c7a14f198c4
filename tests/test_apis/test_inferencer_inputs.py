"""All that can be asked about, and what is said of the rest."""
import io
import socket
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from helpers.stdlib_server_thread import in_background
from PIL import Image, TiffImagePlugin

from mmrefseg.apis.inference import ImageSource, image_decoding, image_download, sources_of
from mmrefseg.errors import FileError, InputError, InputTypeError, MissingInputError, UserError
from mmrefseg.utils.web_addresses import is_url

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = 'PNG', **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


PNG = encoded(Image.fromarray(RGB))


@pytest.mark.parametrize('give', [
    lambda: RGB, lambda: PNG, lambda: bytearray(PNG), lambda: memoryview(PNG), lambda: io.BytesIO(PNG),
    lambda: Image.fromarray(RGB), lambda: Image.open(io.BytesIO(PNG)), lambda: np.dstack([RGB, RGB[..., :1]]),
    lambda: torch.from_numpy(RGB).permute(2, 0, 1), lambda: torch.from_numpy(RGB).permute(2, 0, 1) / 255,
    lambda: RGB.astype(np.uint16) * 257, lambda: np.ascontiguousarray(RGB[::-1])[::-1],
    lambda: Image.fromarray(np.dstack([RGB, RGB[..., 0]])),
])
def test_one_picture_in_many_forms(give):
    source = ImageSource(give())
    np.testing.assert_array_equal(source.read(), RGB)
    np.testing.assert_array_equal(source.read(), RGB)
    assert source.path is None


@pytest.mark.parametrize('give', [
    lambda grey: grey, lambda grey: grey[..., None], lambda grey: Image.fromarray(grey),
    lambda grey: encoded(Image.fromarray(grey)), lambda grey: torch.from_numpy(grey)[None],
    lambda grey: Image.fromarray(grey).convert('LA'), lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    lambda grey: encoded(Image.fromarray(grey.astype(np.uint16) * 257)),
])
def test_grey(give):
    grey = RGB[..., 0]
    np.testing.assert_array_equal(ImageSource(give(grey)).read(), np.dstack([grey] * 3))


def test_cmyk_is_decoded_like_its_rgb():
    flat = Image.new('RGB', (16, 16), (200, 30, 60))
    for image in (flat.convert('CMYK'), encoded(flat.convert('CMYK'), 'JPEG', quality=95)):
        difference = ImageSource(image).read().astype(int) - (200, 30, 60)
        assert np.abs(difference).max() < 12


def test_exif_is_applied_to_bytes_and_pillows_images():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(RGB), exif=exif)
    for image in (content, Image.open(io.BytesIO(content))):
        np.testing.assert_array_equal(ImageSource(image).read(), np.rot90(RGB, -1))


@pytest.mark.parametrize('kind', ['GIF', 'PNG', 'WEBP', 'TIFF'])
def test_the_first_picture_of_an_animation(kind, monkeypatch):
    said = []
    monkeypatch.setattr(image_decoding, 'print_log', lambda message, *rest: said.append(message))
    first = Image.new('RGB', (8, 8), (255, 0, 0))
    options = dict(lossless=True) if kind == 'WEBP' else {}
    content = encoded(first, kind, save_all=True, append_images=[Image.new('RGB', (8, 8), (0, 0, 255))], **options)
    assert (ImageSource(content).read() == (255, 0, 0)).all()
    assert len(said) == 1 and 'holds several pictures, of which the first' in said[0]


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'empty'), (b'\n<!DOCTYPE html><html>', 'HTML'), (b'<svg/>', 'SVG'),
    (PNG[:40], '^The image given as bytes cannot be decoded'),
    (b'GIF89a' + bytes(20), 'cannot be decoded'),
])
def test_bytes_that_are_no_image(content, message):
    with pytest.raises(InputError, match=message):
        ImageSource(content).read()


def test_pillows_modes_without_a_range():
    with pytest.raises(InputError, match="mode 'F'"):
        ImageSource(Image.new('F', (4, 4))).read()


def test_folders_patterns_and_iterables(tmp_path):
    for name in ('b.png', 'a.JPG', 'deep/c.png', 'notes.txt', 'odd[1].png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    names = partial(map, lambda source: source.path and source.path.removeprefix(f'{tmp_path}/'))
    assert list(names(sources_of(tmp_path))) == ['a.JPG', 'b.png', 'odd[1].png']
    assert list(names(sources_of(f'{tmp_path}/**/?.png'))) == ['b.png', 'deep/c.png']
    assert list(names(sources_of(f'{tmp_path}/odd[1].png'))) == ['odd[1].png']
    mixed = (image for image in [tmp_path / 'deep', RGB, [f'{tmp_path}/b.png', PNG], 'http://a/b.png'])
    assert list(names(sources_of(mixed))) == ['deep/c.png', None, 'b.png', None, 'http://a/b.png']
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='holds no image'):
        list(sources_of(tmp_path / 'empty'))
    with pytest.raises(InputError, match='no file fits'):
        list(sources_of(f'{tmp_path}/*.webp'))
    with pytest.raises(InputTypeError, match='got NoneType'):
        list(sources_of([None]))
    with pytest.raises(MissingInputError, match='no image file'):
        ImageSource(f'{tmp_path}/none.png').read()


def test_pages_without_end_are_not_counted(monkeypatch):
    content = io.BytesIO()
    Image.new('L', (2, 2), 7).save(content, 'TIFF', save_all=True, append_images=[Image.new('L', (2, 2))] * 3)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, 'n_frames', property(lambda self: 1 / 0))
    assert (image_decoding.of_bytes(content.getvalue(), 'x') == 7).all()


class Server(BaseHTTPRequestHandler):
    """Gives pictures, pages, redirections, and keeps silent."""

    def do_GET(self):
        if self.path == '/silent.png':
            self.server.asked.wait(5)
            return
        self.server.paths.append(self.path)
        status, content = {'/a.png': (200, PNG), '/page': (200, b'<html>')}.get(self.path, (404, b'none'))
        if self.path.startswith('/moved'):
            status = 302
        self.send_response(status)
        self.send_header('Content-Length', str(len(content)))
        if status == 302:
            self.send_header('Location', self.path.partition('?')[2] or '/a.png')
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope='module')
def server():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Server)
    server.asked, server.paths = threading.Event(), []
    Server.paths = server.paths
    with in_background(server):
        yield f'http://127.0.0.1:{server.server_port}'
        server.asked.set()


@pytest.mark.parametrize('path', ['a.png', 'moved'])
def test_from_the_web(server, path):
    np.testing.assert_array_equal(ImageSource(f'{server}/{path}').read(), RGB)
    assert ImageSource(f'{server}/{path}').path == f'{server}/{path}'


def test_what_the_web_refuses(server):
    with pytest.raises(InputError, match='/page is no image but a text'):
        ImageSource(f'{server}/page').read()
    with pytest.raises(FileError, match='says 404'):
        ImageSource(f'{server}/none').read()
    with pytest.raises(FileError, match='no answer for 0 seconds'):
        image_download.download_image(f'{server}/silent.png', timeout=0.1)
    with pytest.raises(FileError, match='took more than -1 seconds'):
        image_download.download_image(f'{server}/a.png', longest=-1)
    with pytest.raises(InputError, match='more than 20 bytes'):
        image_download.download_image(f'{server}/a.png', limit=20)
    with pytest.raises(FileError, match='cannot be downloaded'):
        image_download.download_image('http://127.0.0.1:1/a.png')
    with pytest.raises(InputError, match="'file:///etc/passwd' is no address on the web"):
        image_download.download_image('file:///etc/passwd')
    assert not is_url('file:///etc/passwd') and not is_url('ftp://a/b.png') and is_url('HTTPS://a/b.png')


@pytest.mark.parametrize('to', ['file:///etc/passwd', 'ftp://127.0.0.1/a.png', 'data:image/png;base64,', 'gopher://a'])
def test_redirections_to_other_kinds_of_address(server, to):
    with pytest.raises(UserError, match='leads to .*, which is no address on the web|url .* is not allowed'):
        image_download.download_image(f'{server}/moved?{to}')


@pytest.mark.parametrize('private', ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', 'fd00::1', 'fe80::1%eth0'])
def test_redirections_into_private_networks(server, monkeypatch, private):
    """A page of the web must not fetch from behind the user's router; whoever is there may do so."""
    port = server.rpartition(':')[2]
    places = {'web.example': '8.8.8.8', 'inside.example': private}

    def look_up(host, port, *args, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (places.get(host, host), port))]

    def connect(address, *args, **kwargs):
        monkeypatch.setattr(socket, 'getaddrinfo', original)
        try:
            return create(('127.0.0.1', address[1]), *args, **kwargs)
        finally:
            monkeypatch.setattr(socket, 'getaddrinfo', look_up)

    original, create = socket.getaddrinfo, socket.create_connection
    monkeypatch.setattr(socket, 'getaddrinfo', look_up)
    monkeypatch.setattr(socket, 'create_connection', connect)
    Server.paths.clear()
    with pytest.raises(InputError, match="web.example.*leads to 'http://inside.example:.*in a private network"):
        image_download.download_image(f'http://web.example:{port}/moved?http://inside.example:{port}/a.png')
    assert Server.paths == [f'/moved?http://inside.example:{port}/a.png']
    for first, second in (('web', 'web'), ('inside', 'inside'), ('inside', 'web')):
        moved = f'http://{first}.example:{port}/moved?http://{second}.example:{port}/a.png'
        assert image_download.download_image(moved) == PNG
