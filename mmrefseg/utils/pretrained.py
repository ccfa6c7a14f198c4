"""Where pretrained weights come from, and how they get here."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

from rich.progress import wrap_file

# The end of a local path and the address of that file.
_SOURCES = (
    (re.compile(r'(?:^|/)((dinov2_vit[sblg]14)(?:_reg4)?_pretrain\.pth)$'),
     r'https://dl.fbaipublicfiles.com/dinov2/\2/\1'),
    (re.compile(r'(?:^|/)([^/]+_clip\w*\.openai)/(open_clip_model\.safetensors)$'),
     r'https://huggingface.co/timm/\1/resolve/main/\2'),
)
_ALREADY_COMPLETE = 416
_CHUNK = 1 << 20


def source_of(path: str | Path) -> str | None:
    """The address of an official weight file, known by the end of its local path; None for any other file."""
    for pattern, address in _SOURCES:
        if match := pattern.search(Path(path).as_posix()):
            return match.expand(address)
    return None


def weight_files(config: Any) -> Iterator[str]:
    """The checkpoints that a model's config asks for, in ``dict(type='Pretrained', checkpoint=...)`` at any depth."""
    if isinstance(config, Mapping):
        if config.get('type') == 'Pretrained':
            yield config['checkpoint']
        config = list(config.values())
    if isinstance(config, list | tuple):
        for element in config:
            yield from weight_files(element)


def how_to_get(path: str | Path) -> str:
    """What a user does whose weight file is missing; a sentence or two for an error message."""
    address = source_of(path)
    mend = (f'Run tools/download_weights.py with your config, or put the file there from {address}.'
            if address else 'Put the file there, or name another in init_cfg.')
    return f'{mend} Only init_cfg=None trains from random weights.'


def require_weights(path: str, owner: str) -> None:
    """Make sure that a local weight file is there; addresses (``https://...``) are left to whoever loads them.

    Args:
        path: path or address of the file.
        owner: the part of the model that needs it, for the message.

    Raises:
        FileNotFoundError: it is not there; says where it was looked for and how to get it.
    """
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'{owner} needs the weights {path}, but there is no file {Path(path).resolve()}. '
                                f'{how_to_get(path)}')


class _NoRedirects(HTTPRedirectHandler):

    def redirect_request(self, *args: Any) -> None:
        """Let the answer that redirects come through as an error: it has the headers that the file's place lacks."""


def published_sha256(address: str) -> str | None:
    """The SHA-256 that the server publishes for a file, if it does, as Hugging Face for large files.

    Raises:
        OSError: the server cannot be reached, or has no such file.
    """
    try:
        headers = build_opener(_NoRedirects).open(Request(address, method='HEAD'), timeout=60).headers
    except HTTPError as answer:
        if not 300 <= answer.code < 400:
            raise
        headers = answer.headers
    found = headers.get('X-Linked-Etag', '').strip('"')
    return found if re.fullmatch('[0-9a-f]{64}', found) else None


def download(address: str, path: str | Path, sha256: str | None = None) -> None:
    """Download a file, with a progress bar; go on where an earlier attempt stopped.

    The file appears once it is complete and verified; until then it grows under its name and ``.part``.

    Args:
        address: where from.
        path: where to; the folder is made.
        sha256: what the file's SHA-256 must be, in hexadecimal digits; None checks its size alone. Default None.

    Raises:
        OSError: the connection fails or ends too early; what came is kept.
        ValueError: the SHA-256 is another; what came is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part')
    start = part.stat().st_size if part.exists() else 0
    request = Request(address, headers={'Range': f'bytes={start}-'} if start else {})
    try:
        with urlopen(request, timeout=60) as response:
            _receive(response, part)
    except HTTPError as error:
        if not (start and error.code == _ALREADY_COMPLETE):
            raise
    if sha256 and _sha256(part) != sha256:
        part.unlink()
        raise ValueError(f'what came from {address} is damaged: its SHA-256 is not {sha256}. It was removed; try again')
    part.replace(path)


def _receive(response: Any, part: Path) -> None:
    resumes = response.status == 206
    left = int(response.headers.get('Content-Length', -1))
    before = part.stat().st_size if resumes else 0
    name = Path(urlsplit(response.url).path).name
    with part.open('ab' if resumes else 'wb') as file, wrap_file(response, max(left, 0), description=name) as source:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
    came = part.stat().st_size - before
    if 0 <= left != came:
        raise OSError(f'the connection ended after {before + came} of {before + left} bytes of {name}; run it again to '
                      'continue')


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
