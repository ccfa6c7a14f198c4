import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mmengine.config import Config

from mmrefseg.checkpoints.pretrained import (
    RemoteFile,
    download,
    is_tag,
    remote_file,
    require_files,
    require_weights,
    source_of,
    verify_download,
    weight_files,
)
from mmrefseg.errors import FileError
from mmrefseg.models import PlainViT
from mmrefseg.utils.locks import locked_file

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves one file, whole or from a byte on; `cut` bytes of a whole answer, if set, are all that it sends."""

    cut = None
    asked = ()
    etag = None
    redirects = False

    def do_HEAD(self):
        self.send_response(404 if self.path != '/weights.pth' else 302 if self.redirects else 200)
        if self.redirects:
            self.send_header('Location', '/elsewhere')
        self.send_header('X-Linked-Size' if self.redirects else 'Content-Length', str(len(CONTENT)))
        if self.etag:
            self.send_header('X-Linked-Etag', self.etag)
        self.end_headers()

    def do_GET(self):
        asked = self.headers.get('Range')
        type(self).asked += (asked, )
        start = int(re.fullmatch(r'bytes=(\d+)-', asked).group(1)) if asked else 0
        if self.path != '/weights.pth' or start >= len(CONTENT):
            self.send_error(404 if self.path != '/weights.pth' else 416)
            return
        self.send_response(206 if asked else 200)
        self.send_header('Content-Length', str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:self.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(Server, 'asked', ())
    server = ThreadingHTTPServer(('127.0.0.1', 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/weights.pth'
    server.shutdown()
    server.server_close()


def test_downloads_a_whole_file(address, tmp_path):
    download(address, tmp_path / 'new/weights.pth', SHA256)
    assert (tmp_path / 'new/weights.pth').read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['weights.pth']


def test_goes_on_where_it_stopped(address, tmp_path, monkeypatch):
    monkeypatch.setattr(Server, 'cut', 1000)
    with pytest.raises(OSError, match=r'ended after 1000 of 10240 bytes of weights\.pth; run it again'):
        download(address, tmp_path / 'weights.pth', SHA256)
    assert not (tmp_path / 'weights.pth').exists()
    monkeypatch.setattr(Server, 'cut', None)
    download(address, tmp_path / 'weights.pth', SHA256)
    assert Server.asked == (None, 'bytes=1000-')
    assert (tmp_path / 'weights.pth').read_bytes() == CONTENT


def test_of_two_at_a_time_one_fetches(address, tmp_path, monkeypatch):
    """Both would append to the same unfinished file."""
    both = threading.Barrier(2)
    monkeypatch.setattr('mmrefseg.checkpoints.pretrained.locked_file', lambda *args, **kwargs: (
        both.wait(10), locked_file(*args, **kwargs))[1])
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: download(address, tmp_path / 'weights.pth', SHA256), range(2)))
    assert (tmp_path / 'weights.pth').read_bytes() == CONTENT and Server.asked == (None, )
    assert [path.name for path in tmp_path.iterdir()] == ['weights.pth']


def test_a_complete_part_is_only_verified(address, tmp_path):
    (tmp_path / 'weights.pth.part').write_bytes(CONTENT)
    download(address, tmp_path / 'weights.pth', SHA256)
    assert (tmp_path / 'weights.pth').read_bytes() == CONTENT


def test_damage_is_refused_and_removed(address, tmp_path):
    (tmp_path / 'weights.pth.part').write_bytes(b'x' * 1000)
    with pytest.raises(ValueError, match=f'SHA-256 is not {SHA256}'):
        download(address, tmp_path / 'weights.pth', SHA256)
    assert not list(tmp_path.iterdir())


def test_an_unknown_address(address, tmp_path):
    with pytest.raises(FileError, match=r'/nothing\.pth cannot be downloaded to .*weights\.pth: .*404.*again to go on'):
        download(address.replace('weights', 'nothing'), tmp_path / 'weights.pth')


def test_no_connection_and_no_folder(address, tmp_path):
    with pytest.raises(FileError, match=r'127\.0\.0\.1:9/a\.pth cannot be downloaded .*refused.*yourself'):
        download('http://127.0.0.1:9/a.pth', tmp_path / 'a.pth')
    (tmp_path / 'file').touch()
    with pytest.raises(FileError, match=r'cannot be downloaded to .*file/a\.pth'):
        download(address, tmp_path / 'file' / 'a.pth')


@pytest.mark.parametrize(('path', 'address'), [
    ('pretrained/dinov2_vitb14_reg4_pretrain.pth',
     'https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth'),
    ('/weights/dinov2_vitg14_pretrain.pth',
     'https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/dinov2_vitg14_pretrain.pth'),
    ('pretrained/resnet101_clip.openai/open_clip_model.safetensors',
     'https://huggingface.co/timm/resnet101_clip.openai/resolve/main/open_clip_model.safetensors'),
    ('pretrained/vit_base_patch16_clip_224.openai/open_clip_model.safetensors',
     'https://huggingface.co/timm/vit_base_patch16_clip_224.openai/resolve/main/open_clip_model.safetensors'),
    ('pretrained/my_dinov2.pth', None),
    ('open_clip_model.safetensors', None),
    ('https://example.org/dinov2_vitb14_pretrain.pth', None),
])
def test_sources(path, address):
    assert source_of(path) == address


def test_weight_files_at_any_depth():
    config = Config(dict(model=dict(
        a=dict(init_cfg=dict(type='Pretrained', checkpoint='one.pth')),
        b=[dict(init_cfg=[dict(type='Kaiming'), dict(type='Pretrained', checkpoint='two.pth')])])))
    assert list(weight_files(config.model)) == [('model.a.init_cfg', 'one.pth'), ('model.b.0.init_cfg', 'two.pth')]


@pytest.mark.parametrize(('name', 'expected'), [
    ('openai', True), ('laion2b_s34b_b79k', True), ('weights.pth', False), ('pretrained/weights', False),
    ('https://example.org/weights.pth', False), ('torchvision://resnet50', False), ('here', False)])
def test_tags(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').touch()
    assert is_tag(name) is expected


def test_all_missing_files_of_a_config_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there.pth').touch()
    files = ['mine.pth', 'there.pth', 'openai', 'https://example.org/a.pth', 'dinov2_vitb14_pretrain.pth']
    parts = [dict(init_cfg=dict(type='Pretrained', checkpoint=file)) for file in files]
    (tmp_path / 'config.py').write_text(f'model = dict(parts={parts})')
    with pytest.raises(FileNotFoundError) as error:
        require_files(Config.fromfile('config.py'))
    first, second = str(error.value).splitlines()
    assert first.startswith(f'model.parts.0 needs the weights mine.pth, but there is no file {tmp_path}/mine.pth. Put')
    assert 'python tools/download_weights.py config.py' in second and 'model.parts.4.init_cfg=None' in second
    require_files(Config(dict(model=dict(parts=parts[1:4]))))


@pytest.mark.parametrize(('etag', 'expected'), [(f'"{SHA256}"', SHA256), ('"a git hash"', None), (None, None)])
@pytest.mark.parametrize('redirects', [True, False])
def test_remote_file(address, monkeypatch, etag, expected, redirects):
    monkeypatch.setattr(Server, 'etag', etag)
    monkeypatch.setattr(Server, 'redirects', redirects)
    assert remote_file(address) == RemoteFile(len(CONTENT), expected)
    assert Server.asked == (), 'the file itself is not asked for'


def test_an_address_without_a_file_has_no_sha256(address):
    with pytest.raises(FileError, match=r'/nothing\.pth cannot be reached: .*404'):
        remote_file(address.replace('weights', 'nothing'))


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


def test_missing_weights_stop_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = 'pretrained/dinov2_vits14_reg4_pretrain.pth'
    model = PlainViT(embed_dim=16, depth=1, num_heads=2, img_size=28, init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(FileNotFoundError) as error:
        model.init_weights()
    for words in ('PlainViT', str(tmp_path / path), source_of(path), 'download_weights.py', 'init_cfg=None'):
        assert words in str(error.value)
    require_weights('https://example.org/weights.pth', 'PlainViT')
    with pytest.raises(FileNotFoundError, match=r'mine\.pth.*name another in init_cfg'):
        require_weights('mine.pth', 'PlainViT')
