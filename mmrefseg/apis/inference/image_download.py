"""Getting an image from the web: only its bytes, in bounded time and size, and for strangers from the web alone."""
from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.request import Request

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.files import MAX_IMAGE_BYTES
from mmrefseg.utils.web_addresses import is_url
from mmrefseg.utils.web_connections import Connections
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
        longest: seconds that all may take, looking up the name included. Default 120.
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
    with Connections(longest, public_only) as connections:
        try:
            with connections.opener(not headers).open(Request(url, headers=sent), timeout=timeout) as response:
                content = _read(response, url, limit)
        except (FileError, InputError):
            raise
        except (OSError, HTTPException, ValueError) as error:
            if connections.are_over:
                raise _too_slow(url, longest) from error
            raise _explained(error, url, timeout) from error
        if connections.are_over:  # what is cut off looks like a whole answer of unknown length
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
