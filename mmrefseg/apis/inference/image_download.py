"""Getting an image from the web: only its bytes, in bounded time and size, and for strangers from the web alone."""
from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    UnknownHandler,
    build_opener,
)

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.files import MAX_IMAGE_BYTES
from mmrefseg.utils.web_addresses import NoRedirections, NoWayIn, is_public, is_url
from mmrefseg.version import __version__

TIMEOUT = 20.0
"""Seconds that a server may stay silent."""

LONGEST = 120.0
"""Seconds that a whole download may take."""


def download_image(url: str, timeout: float = TIMEOUT, longest: float = LONGEST, limit: int = MAX_IMAGE_BYTES,
                   public_only: bool = False, headers: Mapping[str, str] | None = None) -> bytes:
    """What a server gives for an address.

    Args:
        url: the address, http or https.
        timeout: seconds that the server may stay silent. Default 20.
        longest: seconds that all may take. Default 120.
        limit: bytes that it may have. Default the package's bound for images, 256 MB.
        public_only: whether machines that the internet cannot reach, this one among them, are refused, wherever the
            address leads; proxies aren't used then. Default False: only redirections of machines of the internet to
            such ones are.
        headers: what else to tell the server, such as a token; redirections aren't followed then, as it would go
            along. Default None.

    Raises:
        FileError: the server cannot be reached, refuses, or takes too long.
        InputError: the address is none, or leads to something larger, to another kind of address, or to a machine that
            is refused.
    """
    if not is_url(url):
        raise InputError(f'{url[:200]!r} is no address on the web')
    sent = {'User-Agent': f'mmrefseg/{__version__}', **(headers or {})}
    with _Connections(longest, public_only) as connections:
        try:
            opener = _opener(connections, public_only, bool(headers))
            with opener.open(Request(url, headers=sent), timeout=timeout) as response:
                content = _read(response, url, limit)
        except (FileError, InputError):
            raise
        except (OSError, HTTPException, ValueError) as error:
            if connections.are_cut:
                raise _too_slow(url, longest) from error
            raise _explained(error, url, timeout) from error
        if connections.are_cut:  # what is cut off looks like a whole answer of unknown length
            raise _too_slow(url, longest)
    return content


def _read(response: HTTPResponse, url: str, limit: int) -> bytes:
    blocks, size = [], 0
    while block := response.read1(1 << 16):
        size += len(block)
        if size > limit:
            raise InputError(f'{url} has more than {limit} bytes; no larger image is read')
        blocks.append(block)
    return b''.join(blocks)


def _too_slow(url: str, longest: float) -> FileError:
    return FileError(f'{url} took more than {longest:.0f} seconds and was given up. Download it yourself')


def _explained(error: Exception, url: str, timeout: float) -> FileError | InputError:
    if isinstance(error, HTTPError):
        return FileError(f'{url} cannot be downloaded: the server says {error.code} {error.reason}. Check the address; '
                         'some servers give images to browsers only')
    if isinstance(error, TimeoutError):
        return FileError(f'{url} cannot be downloaded: no answer for {timeout:.0f} seconds. Try again later')
    if isinstance(error, OSError | HTTPException):
        return FileError(f'{url} cannot be downloaded: {getattr(error, "reason", error)}. Check the address and the '
                         'connection')
    return InputError(f'{url!r} is no address: {error}')  # urllib's ValueError


class _Connections:
    """Makes connections, and cuts them when their time is over, whatever their servers are sending.

    Bytes that come one by one keep no timeout of the socket from starting anew, and headers may go on without end.

    Args:
        longest: seconds.
        public_only: whether machines that the internet cannot reach are refused.
    """

    def __init__(self, longest: float, public_only: bool) -> None:
        self.are_cut, self._public_only = False, public_only
        self._open: list[socket.socket] = []
        self._timer = threading.Timer(longest, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Connections:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for connection in self._open:
            connection.close()

    def connect(self, address: tuple[str, int], timeout: float | None = None, *_: Any) -> socket.socket:
        """Connect to a server, as :func:`socket.create_connection` does."""
        if self._public_only:
            address = _public_address(*address)
        connection = socket.create_connection(address, timeout)
        self._open.append(connection.dup())  # the other one is taken over by TLS
        if self.are_cut:
            self._cut()
        return connection

    def _cut(self) -> None:
        self.are_cut = True
        for connection in self._open:
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)


def _opener(connections: _Connections, public_only: bool, has_headers: bool) -> OpenerDirector:
    own = _Handler(connections)
    if not public_only:
        return build_opener(NoRedirections if has_headers else NoWayIn, own)
    opener = OpenerDirector()  # of nothing but http and https, and without proxies
    for handler in (own, HTTPRedirectHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler(), UnknownHandler()):
        opener.add_handler(handler)
    return opener


def _public_address(host: str, port: int) -> tuple[str, int]:
    """What a name stands for, looked at; connected to is just that, whatever the name says later."""
    for _family, _kind, _protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(str(address[0])):
            raise InputError(f'{host} is on a private network or is this machine, where nothing is fetched from. Send '
                             'the image itself')
    return str(address[0]), port


class _Handler(HTTPHandler, HTTPSHandler):

    def __init__(self, connections: _Connections) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPConnection, self._connections), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPSConnection, self._connections), req)


def _connection(kind: type[HTTPConnection], connections: _Connections, host: str, **settings: Any) -> HTTPConnection:
    connection = kind(host, **settings)
    # http.client has no other way to look at an address.
    connection._create_connection = connections.connect  # type: ignore[attr-defined]
    return connection
