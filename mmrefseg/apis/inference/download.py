"""Getting an image from the web: only its bytes, in bounded time and size."""
from __future__ import annotations

import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.files import MAX_IMAGE_BYTES
from mmrefseg.version import __version__

TIMEOUT = 20.0
"""Seconds that a server may stay silent."""

LONGEST = 120.0
"""Seconds that a whole download may take."""

_SCHEMES = ('http://', 'https://')


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
        InputError: the address is none, or leads to something larger or to another kind of address.
    """
    deadline, blocks, size = time.monotonic() + longest, [], 0
    try:
        # Another scheme is refused by is_url before and here, wherever it is redirected to.
        with urlopen(Request(url, headers={'User-Agent': f'mmrefseg/{__version__}'}), timeout=timeout) as response:
            if not is_url(response.geturl()):
                raise InputError(f'{url} leads to {response.geturl()!r}, which is no address on the web')
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
