"""A server of files on this machine that drops, truncates, redirects and lies as a test asks it to."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from helpers.stdlib_server_thread import in_background


class Served(NamedTuple):
    """What the server does when it is asked for a file.

    Args:
        content: what the file holds.
        cut: bytes of an answer after which it drops the connection. Default None, never.
        declared: the size that it declares, of the file as a whole. Default None, the true one.
        kind: content type. Default that of any bytes.
        redirect: where it leads instead. Default None.
        restarts: whether it pretends to go on, but sends from the beginning. Default False.
        ignores_ranges: whether it sends all, whatever piece is asked for. Default False.
        etag: what it says of the content, as Hugging Face does. Default None.
        linked_size: the same of the size. Default None.
        without_size: whether it declares none. Default False.
        answers_head: whether it answers questions about the file. Default True.
    """

    content: bytes = b''
    cut: int | None = None
    declared: int | None = None
    kind: str = 'application/octet-stream'
    redirect: str | None = None
    restarts: bool = False
    ignores_ranges: bool = False
    etag: str | None = None
    linked_size: int | None = None
    without_size: bool = False
    answers_head: bool = True


class FileServer(ThreadingHTTPServer):
    """Serves ``files``, a dictionary of paths; ``asked`` gets path and range of every file that is asked for."""

    files: Mapping[str, Served]
    asked: list[tuple[str, str | None]]

    @property
    def address(self) -> str:
        """Of its root, without the slash."""
        return f'http://127.0.0.1:{self.server_port}'


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_HEAD(self) -> None:
        """Say what there is."""
        served = self.server.files.get(self.path)
        if served is None or not served.answers_head:
            self.send_error(404 if served is None else 405)
            return
        self._begin(served, 0)

    def do_GET(self) -> None:
        """Send a file, or what the test wants instead."""
        piece = self.headers.get('Range')
        self.server.asked.append((self.path, piece))
        served = self.server.files.get(self.path)
        if served is None:
            self.send_error(404)
            return
        start = int(re.fullmatch(r'bytes=(\d+)-', piece).group(1)) if piece and not served.ignores_ranges else 0
        if start and start >= len(served.content):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(served.content)}')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        self._begin(served, start)
        if not served.redirect:
            self.wfile.write(served.content[0 if served.restarts else start:][:served.cut])

    def _begin(self, served: Served, start: int) -> None:
        size = len(served.content) if served.declared is None else served.declared
        self.send_response(302 if served.redirect else 206 if start else 200)
        if served.redirect:
            self.send_header('Location', served.redirect)
        elif not served.without_size:
            self.send_header('Content-Length', str(size - start))
        if start:
            first = 0 if served.restarts else start
            self.send_header('Content-Range', f'bytes {first}-{size - 1}/{size}')
        for name, value in (('X-Linked-Etag', served.etag), ('X-Linked-Size', served.linked_size)):
            if value is not None:
                self.send_header(name, str(value))
        self.send_header('Content-Type', served.kind)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(files: Mapping[str, Served]) -> Iterator[FileServer]:
    """Serve files while the block runs.

    Args:
        files: path, with a slash first → what is served; may be changed meanwhile.
    """
    server = FileServer(('127.0.0.1', 0), _Handler)
    server.files, server.asked = files, []
    with in_background(server):
        yield server
