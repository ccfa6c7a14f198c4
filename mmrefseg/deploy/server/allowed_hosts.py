"""Who may ask: whoever calls this server by its name, and its own pages.

A page elsewhere can let its visitor's browser ask a server on the visitor's own machine: from its own origin, or by a
name of its own that it lets stand for this machine (DNS rebinding).
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

_LOOPBACK = ('localhost', '127.0.0.1', '::1')
_EVERYWHERE = ('', '0.0.0.0', '::')
_HARMLESS = ('GET', 'HEAD', 'OPTIONS')
_PLACE = re.compile(r'(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:/?#@\s]+))(?::\d{1,5})?', re.ASCII)


class AllowedHosts:
    """The names of a server.

    Starlette's ``TrustedHostMiddleware`` knows neither addresses of IPv6 nor origins.

    Args:
        bound: address that the server listens on. If that is every one, any that is written in numbers is known, as no
            page can make one up. Default ``'127.0.0.1'``.
        others: names by which it may be called beside that one and this machine's own; their pages may ask, too.
            Default none.
    """

    def __init__(self, bound: str = '127.0.0.1', others: Iterable[str] = ()) -> None:
        self._others = {name.lower().rstrip('.') for name in others}
        self._names = {*_LOOPBACK, bound.lower(), *self._others}
        self._is_everywhere = bound in _EVERYWHERE

    def check(self, method: str, headers: Headers) -> None:
        """Check the head of a request.

        Args:
            method: such as ``'POST'``.
            headers: of the request.

        Raises:
            HTTPException: it calls another server (400), or a page of another site asks (403).
        """
        hosts = headers.getlist('host')
        if len(hosts) != 1 or not self._knows(_name_in(hosts[0])):
            raise HTTPException(400, f'this server is not called {", ".join(hosts)[:200]!r}; if it should be, start it '
                                     'with that name after --allow-host')
        for origin in () if method in _HARMLESS else headers.getlist('origin'):
            place = origin.lower().partition('://')[2]
            if place != hosts[0].lower() and _name_in(place) not in self._others:
                raise HTTPException(403, f'a page of {origin[:200]!r} asks, and only pages of this server may; if it '
                                         'is yours, start the server with its name after --allow-host')

    def _knows(self, name: str | None) -> bool:
        return name is not None and (name in self._names or (self._is_everywhere and _is_in_numbers(name)))


def _name_in(place: str) -> str | None:
    """The name in a host and port, None if there is none."""
    match = _PLACE.fullmatch(place.strip())
    return match and (match[1] or match[2]).lower().rstrip('.')


def _is_in_numbers(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
