"""What the commands that serve put together of their command lines; the server itself is tested elsewhere."""
import sys
from contextlib import contextmanager

import pytest

pytest.importorskip('fastapi')
pytest.importorskip('uvicorn')

from helpers.load_script import load_script

from mmrefseg.deploy.server.limits import Limits


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a tool up to its server; returns the addresses, what the server and the pool got, and what was said."""
    got = {}

    @contextmanager
    def pool(load, metrics, *settings):
        got['model'], got['pool'] = load(), settings
        yield

    def run_server(app, host, port, limits, on_start):
        got.update(addresses={route.path for route in app.routes}, server=(host, port, limits))
        on_start('http://there')

    monkeypatch.setattr('mmrefseg.deploy.server.worker_pool.WorkerPool', pool)
    monkeypatch.setattr('mmrefseg.deploy.server.run_server.run_server', run_server)
    monkeypatch.setattr('mmrefseg.deploy.server.serve_command.load_inferencer', lambda *model: model)

    def run(script, *arguments):
        monkeypatch.setattr(sys, 'argv', [script, *arguments])
        load_script(f'tools/{script}').main()
        return got, capsys.readouterr().out

    return run


def test_serve(command):
    got, said = command('serve.py', 'a_config', 'a.pth', '--port', '1', '--host', '::1', '--max-expressions', '3',
                        '--max-image-mb', '0.5', '--timeout', '9', '--queue', '4', '--workers', '2', '--batch-size',
                        '5')
    assert got['model'][:2] == ('a_config', 'a.pth')
    assert got['server'] == ('::1', 1, Limits(1 << 19, 3, 9.0, 4))
    assert got['pool'] == (2, 5, 4, 9.0)
    assert {'/v1/segment', '/health', '/metrics', '/docs'} <= got['addresses']
    assert not {'', '/', '/predict'} & got['addresses']
    assert said.endswith('http://there/docs describes the interface; Ctrl-C stops it\n')


def test_label_studio(command):
    got, _ = command('serve.py', 'sera_tiny_refshapes', 'a.pth', '--label-studio', 'http://localhost:8080')
    assert {'/setup', '/predict', '/v1/segment'} <= got['addresses']


def test_web(command, tmp_path):
    got, said = command('web.py', 'a_config', 'a.pth')
    assert {'', '/v1/segment'} <= got['addresses']
    assert said.endswith('http://there; Ctrl-C stops it\n')


def test_numbers_out_of_range(command):
    with pytest.raises(SystemExit, match='^serve: --queue must be more than 0, got 0'):
        command('serve.py', 'a_config', 'a.pth', '--queue', '0')
