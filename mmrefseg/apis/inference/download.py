"""Getting an image from the web: only its bytes, in bounded time and size."""
from __future__ import annotations

import socket
import time
from email.message import Message
from http.client import HTTPException
from ipaddress import ip_address
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.files import MAX_IMAGE_BYTES
from mmrefseg.version import __version__

TIMEOUT = 20.0
"""Seconds that a server may stay silent."""

LONGEST = 120.0
"""Seconds that a whole download may take."""

_SCHEMES = ('http://', 'https://')


class _NoWayIn(HTTPRedirectHandler):
    """Follows no redirection to another kind of address, or from the web into the user's own network.

    There, a page of the web could have things fetched that it cannot reach itself: of a router, or of a cloud's host.
    """

    def redirect_request(self, request: Request, file: IO[bytes], code: int, message: str, headers: Message,
                         url: str) -> Request | None:
        if not is_url(url):
            raise InputError(f'{request.full_url} leads to {url[:200]!r}, which is no address on the web')
        if _is_private(url) and not _is_private(request.full_url):
            raise InputError(f'{request.full_url} leads to {url[:200]!r} in a private network, where no page of the '
                             'web should lead. Name that address itself if you trust it')
        return super().redirect_request(request, file, code, message, headers, url)


def _is_private(url: str) -> bool:
    """Whether the address is one of a machine that the web doesn't reach; not if nobody knows it."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None)
    except OSError:
        return False
    return any(not ip_address(place[4][0].partition('%')[0]).is_global for place in found)


_OPENER = build_opener(_NoWayIn)


def is_url(name: str) -> bool:
    """Whether a name is the address of something on the web.

    Args:
        name: of a file or an address.
    """
    return name.lower().startswith(_SCHEMES)


def download(url: str, timeout: float = TIMEOUT, longest: float = LONGEST, limit: int = MAX_IMAGE_BYTES) -> bytes:
    """What a server gives for an address.

    Args:
        url: the address, http or https.
        timeout: seconds that the server may stay silent. Default 20.
        longest: seconds that all may take. Default 120.
        limit: bytes that it may have. Default the package's bound for images, 256 MB.

    Raises:
        FileError: the server cannot be reached, refuses, or takes too long.
        InputError: the address is none, or leads to something larger, to another kind of address, or from the web into
            a private network.
    """
    if not is_url(url):
        raise InputError(f'{url[:200]!r} is no address on the web')
    deadline, blocks, size = time.monotonic() + longest, [], 0
    try:
        with _OPENER.open(Request(url, headers={'User-Agent': f'mmrefseg/{__version__}'}), timeout=timeout) as response:
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
