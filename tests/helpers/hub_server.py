"""What stands for the Hugging Face hub: a server on this machine with the few addresses that a push and a pull ask."""
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from helpers.stdlib_server_thread import in_background


class HubServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        repositories: name → file → content.
        address: of the server.
    """

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), _Answers)
        self.address = f'http://127.0.0.1:{self.server_port}'
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.stored: dict[str, bytes] = {}  # large files, by SHA-256


def _sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _commit_of(files: dict[str, bytes]) -> str:
    return _sha(json.dumps({name: len(content) for name, content in files.items()}).encode())


class _Answers(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = 'HTTP/1.1'

    def do_POST(self) -> None:
        body = self._body()
        if self.path == '/api/repos/create':
            asked = json.loads(body)
            name = f'{asked["organization"]}/{asked["name"]}'
            self.server.repositories.setdefault(name, {})
            self._say(dict(url=f'{self.server.address}/{name}'))
        elif '/preupload/' in self.path:
            self._say(dict(files=[dict(path=file['path'], shouldIgnore=False, oid=None, uploadMode=(
                'lfs' if file['path'].endswith('.safetensors') else 'regular')) for file in json.loads(body)['files']]))
        elif self.path.endswith('.git/info/lfs/objects/batch'):
            self._say(dict(transfer='basic', objects=[dict(item, actions=dict(upload=dict(
                href=f'{self.server.address}/lfs/{item["oid"]}'))) for item in json.loads(body)['objects']]))
        elif found := re.fullmatch(r'/api/models/(.+)/commit/main', self.path.partition('?')[0]):
            files = self.server.repositories[found[1]]
            self._commit(files, [json.loads(line) for line in body.splitlines()])
            self._say(dict(commitUrl=f'{self.server.address}/{found[1]}/commit/{_commit_of(files)}',
                           commitOid=_commit_of(files)))
        else:
            self._say({})  # whether the card's header is good

    def _commit(self, repository: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        for line in lines:
            file = line['value']
            if line['key'] == 'file':
                repository[file['path']] = base64.b64decode(file['content'])
            elif line['key'] == 'lfsFile':
                repository[file['path']] = self.server.stored[file['oid']]

    def do_PUT(self) -> None:
        content = self._body()
        self.server.stored[hashlib.sha256(content).hexdigest()] = content
        self._say({})

    def do_GET(self) -> None:
        path = self.path.partition('?')[0]
        found = re.fullmatch(r'/(?:api/models/)?([^/]+/[^/]+)/(revision|tree|resolve)/[^/]+/?(.*)', path)
        files = self.server.repositories.get(found[1]) if found else None
        if files is None:
            self._say(dict(error='Repository not found'), 404, {'X-Error-Code': 'RepoNotFound'})
        elif found[2] == 'revision':
            self._say(dict(id=found[1], sha=_commit_of(files), siblings=[dict(rfilename=name) for name in files]))
        elif found[2] == 'tree':
            self._say([dict(type='file', path=name, size=len(content), oid=_sha(content))
                       for name, content in files.items()])
        else:
            content = files[found[3]]
            self._send(content, 200, {'ETag': f'"{_sha(content)}"', 'X-Repo-Commit': _commit_of(files)})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        if self.headers.get('Transfer-Encoding') != 'chunked':
            return self.rfile.read(int(self.headers.get('Content-Length', 0)))
        body = b''
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {'Content-Type': 'application/json', **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, 'Content-Length': str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Serve until the end of the block."""
    server = HubServer()
    with in_background(server):
        yield server


@contextmanager
def imported_afresh(package: str) -> Iterator[None]:
    """Within the block a package is imported again, as it looks at the environment only then."""
    def loaded() -> list[str]:
        return [name for name in sys.modules if name.partition('.')[0] == package]

    kept = {name: sys.modules.pop(name) for name in loaded()}
    try:
        yield
    finally:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(kept)
