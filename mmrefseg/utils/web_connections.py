"""Connections to the web: in bounded time, to addresses that were looked at, and from there into no private network."""
from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError  # another class before Python 3.11
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from math import inf
from time import monotonic
from typing import IO, Any
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

from mmrefseg.errors import InputError

from .web_addresses import is_public, is_url

LOOKING_UP = 60.0
"""Seconds that looking up a name may take."""


class Connections:
    """Makes the connections of one fetch; use it as a context.

    Each name is looked up once: what is connected to is what was looked at, whatever the name says later. When the
    time is over, connections are cut, whatever their servers are sending: bytes that come one by one keep no timeout
    of the socket from starting anew, and headers may go on without end.

    Args:
        longest: seconds that all may take, looking up names included. Default None, any.
        public_only: whether machines that the internet cannot reach, this one among them, are refused, wherever the
            address leads; proxies aren't used then. Default False: only redirections from the internet to such ones
            are.
    """

    def __init__(self, longest: float | None = None, public_only: bool = False) -> None:
        self._end = inf if longest is None else monotonic() + longest
        self._public_only = public_only
        self._found: dict[str, Future[list[str]]] = {}
        self._open: list[socket.socket] = []
        self._timer = None if longest is None else threading.Timer(longest, self._cut)

    def __enter__(self) -> Connections:
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
        for connection in self._open:
            connection.close()

    @property
    def are_over(self) -> bool:
        """Whether the time is over, so that what came may lack its end."""
        return monotonic() >= self._end

    def opener(self, follow: bool = True) -> OpenerDirector:
        """What opens addresses of http and https.

        Args:
            follow: whether redirections are followed; else they come through as errors, with their headers. Default
                True.
        """
        own, redirections = _Handler(self), _Redirections(self) if follow else NoRedirections()
        if not self._public_only:
            return build_opener(redirections, own)
        opener = OpenerDirector()  # without proxies, which would look up names themselves
        for handler in (own, redirections, HTTPErrorProcessor(), HTTPDefaultErrorHandler(), UnknownHandler()):
            opener.add_handler(handler)
        return opener

    def connect(self, address: tuple[str, int], timeout: float, *others: Any) -> socket.socket:
        """Connect to a server, as :func:`socket.create_connection` does.

        Args:
            address: host and port.
            timeout: seconds that it may stay silent.
            *others: what else ``http.client`` says, which is left aside.

        Raises:
            InputError: it is refused.
            OSError: it cannot be reached.
        """
        host, port = address
        places = self._places(host)
        if self._public_only and not all(map(is_public, places)):
            raise InputError(f'{host} is on a private network or is this machine, where nothing is fetched from for '
                             'others. Send the image itself, or name its address yourself')
        trouble: OSError = TimeoutError(f'{host} did not answer in time')
        for place in places:
            if (left := self._end - monotonic()) <= 0:
                break
            try:
                connection = socket.create_connection((place, port), min(timeout, left))
            except OSError as error:
                trouble = error
                continue
            self._open.append(connection.dup())  # the other one is taken over by TLS
            if self.are_over:
                self._cut()
            return connection
        raise trouble

    def leads_inside(self, here: str, there: str) -> bool:
        """Whether one address may be of the internet, and another may not.

        Args:
            here: where from.
            there: where to.
        """
        here_public, there_public = ([is_public(place) for place in self._known_places(url)] for url in (here, there))
        return (any(here_public) or not here_public) and not all(there_public)

    def _known_places(self, url: str) -> list[str]:
        with suppress(OSError, HTTPException):
            # As it will be connected to, for urlsplit() leaves escapes ('127%2e0.0.1') and makes capitals small, so
            # that a name would be looked up a second time.
            return self._places(HTTPConnection(Request(url).host or '').host)
        return []  # a proxy may know it

    def _places(self, host: str) -> list[str]:
        """What a name stands for, in numbers. Nothing can stop a lookup, so it is left to itself."""
        if host not in self._found:
            self._found[host] = Future()
            threading.Thread(target=_look_up, args=(host, self._found[host]), daemon=True).start()
        try:
            return self._found[host].result(max(0.0, min(LOOKING_UP, self._end - monotonic())))
        except NotInTimeError:
            raise TimeoutError(f'looking up the name {host} took too long') from None
        except ValueError as error:  # of the name's encoding, or a NUL in it
            raise InputError(f'{host[:200]!r} is no name of a machine ({error})') from error

    def _cut(self) -> None:
        for connection in self._open:
            with suppress(OSError):  # it has ended
                connection.shutdown(socket.SHUT_RDWR)


def _look_up(host: str, found: Future[list[str]]) -> None:
    try:
        places = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        found.set_exception(error)
    else:
        found.set_result([str(address[0]) for *_, address in places])


class NoRedirections(HTTPRedirectHandler):
    """Follows none: the answer that redirects comes through as an error, with its headers."""

    def redirect_request(self, *_: Any) -> None:
        """Give no request to follow it."""


class _Redirections(HTTPRedirectHandler):
    """Follows none to another kind of address, or from the internet into the user's own network.

    There, a page of the web could have things fetched that it cannot reach itself: of a router, or of a cloud's host.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage,
                         newurl: str) -> Request | None:
        if not is_url(newurl):
            raise InputError(f'{req.full_url} leads to {newurl[:200]!r}, which is no address on the web')
        if self._connections.leads_inside(req.full_url, newurl):
            raise InputError(f'{req.full_url} leads to {newurl[:200]!r} in a private network, where no page of the '
                             'web should lead. Name that address itself if you trust it')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Handler(HTTPHandler, HTTPSHandler):

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPConnection, self._connections), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPSConnection, self._connections), req)


def _connection(kind: type[HTTPConnection], connections: Connections, host: str, **settings: Any) -> HTTPConnection:
    connection = kind(host, **settings)
    # http.client has no other way to look at an address.
    connection._create_connection = connections.connect  # type: ignore[attr-defined]
    return connection
