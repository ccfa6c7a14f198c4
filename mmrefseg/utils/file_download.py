"""Large files from the web: they go on where they stopped, and appear once they are whole and what they should be."""
from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request

from rich.progress import wrap_file

from mmrefseg.errors import FileError, InputError
from mmrefseg.version import __version__

from .files import sha256_of
from .locks import locked_file
from .web_addresses import is_url
from .web_connections import Connections

MAX_DOWNLOAD_BYTES = 1 << 36
"""No larger file is downloaded: 64 GB, three times COCO's largest."""

_TIMEOUT = 60.0
_ALREADY_COMPLETE = 416
_CHUNK = 1 << 20
_WEB_PAGE = ('text/html', 'application/xhtml+xml')


class RemoteFile(NamedTuple):
    """What is known of a file on the web, None where nothing is.

    Args:
        size: in bytes.
        sha256: in hexadecimal digits, as Hugging Face gives for large files.
    """

    size: int | None = None
    sha256: str | None = None


def remote_file(address: str) -> RemoteFile:
    """Ask a server about a file, without getting it.

    Args:
        address: the file's ``https`` address.

    Raises:
        FileError: the server cannot be reached, or has no such file.
    """
    try:  # an answer that redirects has headers that the file's place lacks
        with Connections(_TIMEOUT) as connections:
            headers = connections.opener(False).open(_request(address, method='HEAD'), timeout=_TIMEOUT).headers
        size = headers.get('Content-Length')
    except HTTPError as answer:
        if not 300 <= answer.code < 400:
            raise _unreachable(address, answer) from answer
        headers = answer.headers
        size = headers.get('X-Linked-Size')  # Content-Length is that of the answer
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error) from error
    sha256 = headers.get('X-Linked-Etag', '').strip('"')
    return RemoteFile(_number(size), sha256 if re.fullmatch('[0-9a-f]{64}', sha256) else None)


def _unreachable(address: str, error: Exception) -> FileError:
    return FileError(f'{address} cannot be reached: {error}. Check the connection and, if there is one, the proxy '
                     '(https_proxy), or get the file on another machine')


def _request(address: str, method: str = 'GET', start: int = 0) -> Request:
    headers = {'User-Agent': f'mmrefseg/{__version__}', **({'Range': f'bytes={start}-'} if start else {})}
    return Request(address, headers=headers, method=method)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None


def verify_download(path: str | Path, expected: RemoteFile) -> None:
    """Compare a file with what is known of it.

    Args:
        path: the file.
        expected: what its server, or its publisher, says; what is None there is not compared.

    Raises:
        InputError: the size or the SHA-256 is another.
    """
    path = Path(path)
    wrong = ''
    if expected.size not in (None, size := path.stat().st_size):
        wrong = f'it has {size} bytes instead of {expected.size}'
    elif expected.sha256 not in (None, sha256 := sha256_of(path)):
        wrong = f'its SHA-256 is {sha256} instead of {expected.sha256}'
    if wrong:
        raise InputError(f'{path} is not the published file: {wrong}. Remove it and run the same command again')


def download(address: str, path: str | Path, sha256: str | None = None, size: int | None = None,
             trouble_of: Callable[[Path], str | None] | None = None) -> None:
    """Download a file, with a progress bar; go on where an earlier attempt from the same address stopped.

    The file appears once it is complete and verified; until then it grows under its name, a mark of the address, and
    ``.part``. Redirections lead to http and https alone, and from the internet into no private network. Of several
    processes that want it at the same time one fetches it, and the others wait.

    Args:
        address: where from, http or https.
        path: where to; the folder is made.
        sha256: what the file's SHA-256 must be, in hexadecimal digits; None checks its size alone. Default None.
        size: bytes that it must have. Default None, what the server says.
        trouble_of: says what is wrong with the file that came, None if nothing is. Default None, no further check.

    Raises:
        FileError: the connection fails or ends too early, or the file cannot be written. What came is kept,
            unless its server has another file by now.
        InputError: it is another file: its size, its SHA-256 or what it holds is wrong. What came is removed.
    """
    if not is_url(address):
        raise InputError(f'{address[:200]!r} is no address on the web')
    path = Path(path)
    part = path.with_name(f'{path.name}.{hashlib.sha256(address.encode()).hexdigest()[:8]}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        was_there = path.exists()
        with locked_file(path.with_name(f'.{path.name}.lock'), f'{path} is being downloaded', wait=True):
            if was_there or not path.exists():  # else another process has brought it
                _complete(address, part, size)
                _check(address, part, sha256, trouble_of)
                part.replace(path)
    except FileError:
        raise
    except (OSError, HTTPException) as error:
        raise FileError(f'{address} cannot be downloaded to {path}: {error}. Run the same command again to go on, or '
                        'put the file there yourself') from error


def _check(address: str, part: Path, sha256: str | None, trouble_of: Callable[[Path], str | None] | None) -> None:
    wrong = None
    if sha256 and sha256_of(part) != sha256:
        wrong = f'its SHA-256 is not {sha256}'
    elif trouble_of:
        wrong = trouble_of(part)
    if wrong:
        part.unlink()
        raise InputError(f'what came from {address} is damaged, or another file: {wrong}. It was removed; try again')


def _complete(address: str, part: Path, size: int | None) -> None:
    """Append a file's bytes to those that are in ``part``."""
    if part.is_symlink():  # which this never makes, and would write through
        part.unlink()
    start = part.stat().st_size if part.exists() else 0
    if size is not None and start >= size:
        if start == size:
            return
        part.unlink()
        start = 0
    try:
        with Connections() as connections, connections.opener().open(
                _request(address, start=start), timeout=_TIMEOUT) as response:
            _receive(response, part, start, size)
    except HTTPError as error:
        if not (start and error.code == _ALREADY_COMPLETE):
            raise
        # "bytes */1234": what there is; without it, what came is taken for all there is
        told = _number((error.headers.get('Content-Range') or '').rpartition('/')[2])
        if told not in (None, start):
            part.unlink()
            raise FileError(f'{address} has {told} bytes now, but {start} came before. They were removed; run it again '
                            'to begin anew') from error


def _receive(response: HTTPResponse, part: Path, start: int, size: int | None) -> None:
    resumes, left = response.status == 206, _number(response.headers.get('Content-Length'))
    before = start if resumes else 0
    name = part.name.rsplit('.', 2)[0]
    if resumes and not (response.headers.get('Content-Range') or '').startswith(f'bytes {start}-'):
        part.unlink()  # else it would be asked in vain for ever
        raise FileError(f'{response.url} answers with another piece of {name} than was asked for. What came was '
                        'removed; run it again to begin anew')
    if response.headers.get_content_type() in _WEB_PAGE:
        raise InputError(f'{response.url} answers with a web page instead of {name}. Open it in a browser: perhaps it '
                         'asks for something')
    if left is not None and (before + left > MAX_DOWNLOAD_BYTES or size not in (None, before + left)):
        expected = f'which has {size}' if size else f'more than {MAX_DOWNLOAD_BYTES}'
        raise InputError(f'{response.url} offers {before + left} bytes as {name}, {expected}: it is another file')
    free = shutil.disk_usage(part.parent).free
    if left is not None and left > free:
        raise FileError(f'{name} needs {left} bytes more, but {part.parent} has {free} left. Make room, or name '
                        'another folder')
    came, most = 0, (size or MAX_DOWNLOAD_BYTES) - before
    with part.open('ab' if resumes else 'wb') as file, wrap_file(response, left or 0, description=name) as source:
        while chunk := source.read(_CHUNK):
            came += len(chunk)
            if came > most:
                break
            file.write(chunk)
    if came > most:
        part.unlink()
        raise InputError(f'{response.url} gives more than the {most + before} bytes of {name}: it is another file')
    wanted = left if left is not None else size - before if size is not None else came
    if came != wanted:
        raise FileError(f'the connection ended after {before + came} of {before + wanted} bytes of {name}; run it '
                        'again to continue')
