"""Where pretrained weights come from, and how they get here."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

from mmengine.config import Config
from rich.progress import wrap_file

from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.files import sha256_of
from mmrefseg.utils.locks import locked_file

# The end of a local path and the address of that file.
_SOURCES = (
    (re.compile(r'(?:^|/)((dinov2_vit[sblg]14)(?:_reg4)?_pretrain\.pth)$'),
     r'https://dl.fbaipublicfiles.com/dinov2/\2/\1'),
    (re.compile(r'(?:^|/)([^/]+_clip\w*\.openai)/(open_clip_model\.safetensors)$'),
     r'https://huggingface.co/timm/\1/resolve/main/\2'),
    (re.compile(r'(?:^|/)(vit_\w+\.\w+)/(model\.safetensors)$'), r'https://huggingface.co/timm/\1/resolve/main/\2'),
)
_ALREADY_COMPLETE = 416
_CHUNK = 1 << 20


def is_address(name: str) -> bool:
    """Whether weights are named by an address, such as ``https://...`` or mmengine's ``torchvision://...``.

    Args:
        name: a path, an address or a tag.
    """
    return '://' in name


def source_of(path: str | Path) -> str | None:
    """The address of an official weight file, known by the end of its local path; None for any other file.

    Args:
        path: where the file is, or should be; it need not exist.
    """
    for pattern, address in () if is_address(str(path)) else _SOURCES:
        if match := pattern.search(Path(path).as_posix()):
            return match.expand(address)
    return None


def is_tag(name: str) -> bool:
    """Whether weights are named by a word, as open_clip's ``openai``, and not by a path or an address.

    Args:
        name: a path, an address or a tag.
    """
    return re.fullmatch(r'[\w-]+', name) is not None and not Path(name).is_file()


def weight_files(config: Any, setting: str = 'model') -> Iterator[tuple[str, str]]:
    """Find the checkpoints that a model's config asks for, in ``dict(type='Pretrained', checkpoint=...)``.

    Args:
        config: a model's config, or a part of it; searched at any depth.
        setting: what ``config`` is called in the whole config. Default ``'model'``.

    Yields:
        The name of each such setting, such as ``model.backbone.init_cfg``, and the path, address or tag in it.
    """
    if isinstance(config, Mapping):
        if config.get('type') == 'Pretrained':
            yield setting, config['checkpoint']
        parts = config.items()
    else:
        parts = enumerate(config) if isinstance(config, list | tuple) else ()
    for name, part in parts:
        # A list of initialisations is None as a whole or not at all.
        yield from weight_files(part, setting if setting.endswith('.init_cfg') else f'{setting}.{name}')


def require_weights(path: str, owner: str, config: str = 'CONFIG', setting: str = 'init_cfg') -> None:
    """Make sure that a local weight file is there; addresses (``https://...``) are left to whoever loads them.

    Args:
        path: path or address of the file.
        owner: the part of the model that needs it, for the message.
        config: path of the config that names it, for the message. Default a placeholder.
        setting: the config's setting that names it, for the message. Default ``'init_cfg'``.

    Raises:
        MissingInputError: it is not there; says where it was looked for and how to get it.
    """
    if is_address(path) or Path(path).is_file():
        return
    address = source_of(path)
    mend = (f'Run `python tools/download_weights.py {config}`, or put the file there from {address}.'
            if address else f'Put the file there, or name another in {setting}.')
    raise MissingInputError(f'{owner} needs the weights {path}, but there is no file {Path(path).resolve()}. {mend} '
                            f'Only {setting}=None, which --cfg-options can set, trains from random weights.')


def require_files(config: Config) -> None:
    """Make sure that all local weight files are there that a training of a config needs.

    Args:
        config: a whole config.

    Raises:
        MissingInputError: names all that are missing, each as :func:`require_weights` does.
    """
    missing = []
    for setting, file in weight_files(config.model):
        try:
            if not is_tag(file):
                require_weights(file, setting.removesuffix('.init_cfg'), config.filename, setting)
        except MissingInputError as error:
            missing.append(str(error))
    if missing:
        raise MissingInputError('\n'.join(missing))


class _NoRedirects(HTTPRedirectHandler):

    def redirect_request(self, *args: Any) -> None:
        """Let the answer that redirects come through as an error: it has the headers that the file's place lacks."""


class RemoteFile(NamedTuple):
    """What a server says of a file, None where it doesn't.

    Args:
        size: in bytes.
        sha256: in hexadecimal digits, as Hugging Face gives for large files.
    """

    size: int | None
    sha256: str | None


def _unreachable(address: str, error: Exception) -> FileError:
    return FileError(f'{address} cannot be reached: {error}. Check the connection and, if there is one, the proxy '
                     '(https_proxy), or get the file on another machine')


def remote_file(address: str) -> RemoteFile:
    """Ask a server about a file, without getting it.

    Args:
        address: the file's ``https`` address.

    Raises:
        FileError: the server cannot be reached, or has no such file.
    """
    try:
        headers = build_opener(_NoRedirects).open(Request(address, method='HEAD'), timeout=60).headers
        size = headers.get('Content-Length')
    except HTTPError as answer:
        if not 300 <= answer.code < 400:
            raise _unreachable(address, answer) from answer
        headers = answer.headers
        size = headers.get('X-Linked-Size')  # Content-Length is that of the answer
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error) from error
    sha256 = headers.get('X-Linked-Etag', '').strip('"')
    return RemoteFile(int(size) if size else None, sha256 if re.fullmatch('[0-9a-f]{64}', sha256) else None)


def verify_download(path: str | Path, expected: RemoteFile) -> None:
    """Compare a file with what its server says of it.

    Args:
        path: the file.
        expected: what the server says; what is None there is not compared.

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


def download(address: str, path: str | Path, sha256: str | None = None) -> None:
    """Download a file, with a progress bar; go on where an earlier attempt stopped.

    The file appears once it is complete and verified; until then it grows under its name and ``.part``. Of several
    processes that want it at the same time one fetches it, and the others wait.

    Args:
        address: where from.
        path: where to; the folder is made.
        sha256: what the file's SHA-256 must be, in hexadecimal digits; None checks its size alone. Default None.

    Raises:
        FileError: the connection fails or ends too early, or the file cannot be written; what came is kept.
        InputError: the SHA-256 is another; what came is removed.
    """
    path = Path(path)
    part = path.with_name(f'{path.name}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        was_there = path.exists()
        with locked_file(path.with_name(f'.{path.name}.lock'), f'{path} is being downloaded', wait=True):
            if was_there or not path.exists():  # else another process has brought it
                _fetch(address, part, sha256)
                part.replace(path)
    except FileError:
        raise
    except (OSError, HTTPException) as error:
        raise FileError(f'{address} cannot be downloaded to {path}: {error}. Run the same command again to go on, or '
                        'put the file there yourself') from error


def _fetch(address: str, part: Path, sha256: str | None) -> None:
    _get(address, part, part.stat().st_size if part.exists() else 0)
    if sha256 and sha256_of(part) != sha256:
        part.unlink()
        raise InputError(f'what came from {address} is damaged: its SHA-256 is not {sha256}. It was removed; try again')


def _get(address: str, part: Path, start: int) -> None:
    """Append a file's bytes from ``start`` on to what is in ``part``."""
    request = Request(address, headers={'Range': f'bytes={start}-'} if start else {})
    try:
        with urlopen(request, timeout=60) as response:
            _receive(response, part)
    except HTTPError as error:
        if not (start and error.code == _ALREADY_COMPLETE):
            raise


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
        raise FileError(f'the connection ended after {before + came} of {before + left} bytes of {name}; run it again '
                        'to continue')
