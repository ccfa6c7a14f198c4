"""Getting an image from the web: only its bytes, in bounded time and size, and for strangers from the web alone."""
from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, ip_address, ip_network
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
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
from mmrefseg.version import __version__

TIMEOUT = 20.0
"""Seconds that a server may stay silent."""

LONGEST = 120.0
"""Seconds that a whole download may take."""

_SCHEMES = ('http://', 'https://')
_NAT64 = ip_network('64:ff9b::/96')  # holds every address of IPv4, private ones too


def is_url(name: str) -> bool:
    """Whether a name is the address of something on the web.

    Args:
        name: of a file or an address.
    """
    return name.lower().startswith(_SCHEMES)


def download(url: str, timeout: float = TIMEOUT, longest: float = LONGEST, limit: int = MAX_IMAGE_BYTES,
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
    deadline, blocks, size = time.monotonic() + longest, [], 0
    get: Callable[..., HTTPResponse] = build_opener(_NoWayIn).open
    if public_only:
        get = _public_opener().open
    elif headers:
        get = build_opener(_NoRedirections).open
    try:
        sent = {'User-Agent': f'mmrefseg/{__version__}', **(headers or {})}
        with get(Request(url, headers=sent), timeout=timeout) as response:
            while block := response.read1(1 << 16):
                size += len(block)
                if size > limit:
                    raise InputError(f'{url} has more than {limit} bytes; no larger image is read')
                if time.monotonic() > deadline:
                    raise FileError(f'{url} took more than {longest:.0f} seconds and was given up. Download it '
                                    'yourself')
                blocks.append(block)
    except (FileError, InputError):
        raise
    except HTTPError as error:
        raise FileError(f'{url} cannot be downloaded: the server says {error.code} {error.reason}. Check the address; '
                        'some servers give images to browsers only') from error
    except TimeoutError as error:
        raise FileError(f'{url} cannot be downloaded: no answer for {timeout:.0f} seconds. Try again later') from error
    except (OSError, HTTPException) as error:
        raise FileError(f'{url} cannot be downloaded: {getattr(error, "reason", error)}. Check the address and the '
                        'connection') from error
    except ValueError as error:  # of urllib, for what is no address
        raise InputError(f'{url!r} is no address: {error}') from error
    return b''.join(blocks)


def _public_opener() -> OpenerDirector:
    """An opener of nothing but http and https, each connection of which, a redirection's too, is looked at."""
    opener = OpenerDirector()
    for handler in (_PublicHTTP(), _PublicHTTPS(), HTTPRedirectHandler(), HTTPErrorProcessor(),
                    HTTPDefaultErrorHandler(), UnknownHandler()):
        opener.add_handler(handler)
    return opener


def _connect(address: tuple[str, int], timeout: float | None = None, *_: Any) -> socket.socket:
    """Connect to what a name stands for; what was looked at is what is connected to, whatever the name says later."""
    host, port = address
    for _family, _kind, _protocol, _name, host_port in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not _is_public(str(host_port[0])):
            raise InputError(f'{host} is on a private network or is this machine, where nothing is fetched from. Send '
                             'the image itself')
    return socket.create_connection((str(host_port[0]), port), timeout)


def _is_public(host: str) -> bool:
    address = ip_address(host.partition('%')[0])
    inner = getattr(address, 'ipv4_mapped', None) or getattr(address, 'sixtofour', None)
    if address in _NAT64:
        inner = IPv4Address(int(address) & 0xffffffff)
    return address.is_global and not address.is_multicast and (inner is None or inner.is_global)


class _NoWayIn(HTTPRedirectHandler):
    """Follows no redirection to another kind of address, or from the internet into the user's own network.

    There, a page of the web could have things fetched that it cannot reach itself: of a router, or of a cloud's host.
    """

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage,
                         newurl: str) -> Request | None:
        if not is_url(newurl):
            raise InputError(f'{req.full_url} leads to {newurl[:200]!r}, which is no address on the web')
        if _is_on_internet(req.full_url) and not _is_on_internet(newurl):
            raise InputError(f'{req.full_url} leads to {newurl[:200]!r} in a private network, where no page of the '
                             'web should lead. Name that address itself if you trust it')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_on_internet(url: str) -> bool:
    """Whether all that the name of an address's machine stands for can be reached from anywhere, or nobody knows it."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None)
    except OSError:
        return True
    return all(_is_public(str(host_port[0])) for *_, host_port in found)


class _NoRedirections(HTTPRedirectHandler):

    def redirect_request(self, *_: Any) -> None:
        return None


class _PublicHTTPConnection(HTTPConnection):

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _PublicHTTPSConnection(HTTPSConnection):

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _PublicHTTP(HTTPHandler):

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_PublicHTTPConnection, req)


class _PublicHTTPS(HTTPSHandler):

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_PublicHTTPSConnection, req)
