"""Addresses on the web, and where redirections may lead."""
from __future__ import annotations

import socket
from http.client import HTTPMessage
from ipaddress import IPv4Address, ip_address, ip_network
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request

from mmrefseg.errors import InputError

_SCHEMES = ('http://', 'https://')
_NAT64 = ip_network('64:ff9b::/96')  # holds every address of IPv4, private ones too
_UNICAST = ip_network('2000::/3')  # all of IPv6 that was given to anybody


def is_url(name: str) -> bool:
    """Whether a name is the address of something on the web.

    Args:
        name: of a file or an address.
    """
    return name.lower().startswith(_SCHEMES)


def is_public(host: str) -> bool:
    """Whether an address of a machine is one that can be reached from anywhere.

    Args:
        host: in numbers, of IPv4 or IPv6.
    """
    address = ip_address(host.partition('%')[0])
    inner = getattr(address, 'ipv4_mapped', None) or getattr(address, 'sixtofour', None)
    if address in _NAT64:
        inner = IPv4Address(int(address) & 0xffffffff)
    if inner is None and address.version == 6 and address not in _UNICAST:  # other ways to write IPv4 among them
        return False
    return address.is_global and not address.is_multicast and (inner is None or inner.is_global)


class NoRedirections(HTTPRedirectHandler):
    """Follows none: the answer that redirects comes through as an error, with its headers."""

    def redirect_request(self, *_: Any) -> None:
        """Give no request to follow it."""


class NoWayIn(HTTPRedirectHandler):
    """Follows no redirection to another kind of address, or from the internet into the user's own network.

    There, a page of the web could have things fetched that it cannot reach itself: of a router, or of a cloud's host.
    """

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage,
                         newurl: str) -> Request | None:
        """The request that follows a redirection.

        Raises:
            InputError: it leads where it must not.
        """
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
    return all(is_public(str(place[0])) for *_, place in found)
