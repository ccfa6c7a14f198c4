"""Requests to the server and the page: their bodies in the process, their heads over loopback."""
from __future__ import annotations

import asyncio
import json
import re
import socket
from concurrent.futures import Future
from pathlib import Path

import cv2
import httpx
import numpy as np
from helpers.app_server_thread import running
from helpers.fuzzing import change_json, mutate

from mmrefseg.deploy.server.app import create_app
from mmrefseg.deploy.server.browser_page import add_page, made_examples
from mmrefseg.deploy.server.label_studio import add_label_studio, label_studio_fetch
from mmrefseg.deploy.server.limits import Limits
from mmrefseg.deploy.server.prometheus_metrics import ServerMetrics
from mmrefseg.deploy.server.question_and_reply import INCLUDED, Question, Reply
from mmrefseg.deploy.server.run_server import ImpatientProtocol
from mmrefseg.errors import InputError

from .damaged_files import Attempt

_LIMITS = Limits(image_bytes=1 << 16, expressions=4, seconds=0.3)
_RLE = {'size': [4, 5], 'counts': [3, 4, 13]}
_PICTURE = cv2.imencode('.png', np.zeros((4, 5, 3), np.uint8))[1].tobytes()
_JSON = json.dumps(dict(image='aaaa', expressions=['a', '\u00e4'], threshold=0.5, include=['rle', 'png'])).encode()
_CONFIG = ('<View><Image name="image" value="$image"/><TextArea name="ask" toName="image" value="$expression"/>'
           '<BrushLabels name="brush" toName="image"><Label value="referent"/></BrushLabels></View>')
_TASKS = json.dumps(dict(label_config=_CONFIG, params=dict(context=dict(result=[])), tasks=[
    dict(id=1, data=dict(image='/a.png', expression='a')),
    dict(id=2, data=dict(image='data:image/png;base64,aaaa', expression=['b']))])).encode()


def _form(**parts: bytes) -> bytes:
    return b''.join(b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        name.encode(), b'; filename="a.png"\r\nContent-Type: image/png' if name in ('image', 'mask') else b'', content)
        for name, content in parts.items()) + b'--x--\r\n'


_FORM, _MASK = _form(image=_PICTURE, expressions=b'a', threshold=b'0.5', include=b'rle'), _form(mask=_PICTURE)
_HEAD = (b'POST %s HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n'
         b'Content-Type: %s\r\n%s')

REQUESTS = {
    'JSON': ('/v1/segment', 'application/json', _JSON),
    'a form': ('/v1/segment', 'multipart/form-data; boundary=x', _FORM),
    'outlines': ('/page/outlines', 'multipart/form-data; boundary=x', _MASK),
    'tasks': ('/predict', 'application/json', _TASKS),
    'setup': ('/setup', 'application/json', json.dumps(dict(project='1', schema=_CONFIG)).encode()),
}


class _Pool:
    """Answers at once, questions that are as they must be."""

    ready, waiting = 1, 0

    def submit(self, question: Question) -> Future:
        assert isinstance(question.image, bytes) and 0 < len(question.image) <= _LIMITS.image_bytes
        assert 0 < len(question.expressions) <= _LIMITS.expressions
        assert all(isinstance(text, str) and text.strip() for text in question.expressions)
        assert question.threshold is None or 0 <= question.threshold <= 1
        assert set(question.include) <= set(INCLUDED)
        found: Future = Future()
        found.set_result(Reply(dict(size=[4, 5], threshold=0.5, answers=[
            dict(expression=text, score=0.5, box=None, rle=_RLE) for text in question.expressions])))
        return found


def _app():
    app = create_app(_Pool(), _LIMITS, ServerMetrics(), lambda url: b'x')
    fetch = label_studio_fetch('http://studio.example', None, _LIMITS, None)
    add_label_studio(app, _LIMITS, lambda url: b'x' if url == '/a.png' else fetch(url), 'v')
    add_page(app, made_examples(1, 48))
    return app


def _check(status: int, what: object) -> None:
    assert status < 500, (status, what)
    if status >= 400:
        raise InputError(f'{status}: {what}')


def bodies(name: str, folder: Path) -> Attempt:
    (path, kind, content), app = REQUESTS[name], _app()

    async def ask(body: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url='http://localhost', timeout=20) as client:
            return await client.post(path, content=body, headers={'content-type': kind})

    def attempt(seed):
        body = change_json(content, seed) if kind == 'application/json' else mutate(content, seed)
        response = asyncio.run(ask(body))
        _check(response.status_code, response.json())

    return attempt


def _changed_head(head: bytes, seed: int | None) -> bytes:
    """Damaged anywhere, or, of three seeds in four, in a value alone, so that it remains HTTP."""
    if seed is None or seed % 4 == 0:
        return mutate(head, seed)
    lines = head.split(b'\r\n')
    place = seed // 4 % len(lines)
    name, value = lines[place].split(b' ', 1)
    value = re.sub(rb'[\0-\x1f\x7f]', b'', mutate(value, seed))
    lines[place] = name + b' ' + (value if place else value.split(b' ')[0] + b' HTTP/1.1')
    return b'\r\n'.join(lines)


def heads(folder: Path) -> Attempt:
    """What the server takes for something unfinished it gives up without an answer."""

    class Protocol(ImpatientProtocol):
        seconds = 0.3

    server = running(_app(), http=Protocol, ws='none')
    place = server.__enter__().removeprefix('http://').split(':')
    requests = [_HEAD % (path.encode(), kind.encode(), b'Content-Length: %d\r\n\r\n%s' % (len(body), body))
                for path, kind, body in REQUESTS.values()]
    requests.append(_HEAD % (b'/v1/segment', b'application/json',
                             b'Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n' % (len(_JSON), _JSON)))

    def attempt(seed):
        request = requests[(seed or 0) % len(requests)]
        head, _, body = request.partition(b'\r\n\r\n')
        request = _changed_head(head, seed) + b'\r\n\r\n' + body
        answer = b''
        with socket.create_connection(place, 10) as connection:
            try:
                connection.sendall(request)
                while block := connection.recv(1 << 16):
                    answer += block
            except ConnectionError:
                pass
        if not answer:
            raise InputError('given up')
        _check(int(answer.split(None, 2)[1]), answer[:500])
        assert server

    return attempt
