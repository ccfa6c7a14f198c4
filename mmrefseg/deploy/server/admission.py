"""What stands before the server: how much may come in, how fast, and how many at a time."""
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from .limits import Limits
from .prometheus_metrics import Metrics

RETRY_AFTER = 2
"""Seconds after which a client that was turned away may come again."""

_LINGER = 2  # seconds that a client that was turned away may still send


class Admission:
    """Reads the body of each request within limits and turns away what doesn't keep to them, as ASGI middleware.

    Args:
        app: what answers.
        limits: the limits.
        metrics: counts requests.
    """

    def __init__(self, app: Any, limits: Limits, metrics: Metrics) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics
        self._inside = 0

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Answer a request.

        Args:
            scope: ASGI's.
            receive: ASGI's.
            send: ASGI's.
        """
        if scope['type'] != 'http':
            await self._app(scope, receive, send)
            return
        begin, status = monotonic(), 499  # the client hung up

        async def watched(message: dict) -> None:
            nonlocal status
            if message['type'] == 'http.response.start':
                status = message['status']
            await send(message)

        try:
            await self._admit(scope, receive, watched)
        finally:
            path = scope['route'].path if 'route' in scope else 'other'  # names that clients make up would add up
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(monotonic() - begin)

    async def _admit(self, scope: dict, receive: Any, send: Any) -> None:
        if scope['method'] not in ('POST', 'PUT', 'PATCH'):
            await self._app(scope, receive, send)
            return
        try:
            with self._place():
                body = await self._read(scope, receive)
                if body is not None:
                    await self._app(scope, _replay(body, receive), send)
        except _TurnedAwayError as refusal:
            await _turn_away(receive, send, refusal)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests."""
        if self._inside >= self._limits.waiting:
            raise _TurnedAwayError(503, 'the server is busy; come again', RETRY_AFTER)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def _read(self, scope: dict, receive: Any) -> bytes | None:
        """The whole body; None if the client hung up."""
        declared = dict(scope['headers']).get(b'content-length', b'0')
        if declared.isdigit() and int(declared[:20]) > self._limits.body_bytes:
            raise _too_large(self._limits)
        try:
            return await asyncio.wait_for(_collect(receive, self._limits), self._limits.seconds)
        except asyncio.TimeoutError:  # another class before Python 3.11
            raise _TurnedAwayError(408, f'the request did not arrive within {self._limits.seconds:.0f} seconds'
                                   ) from None


class _TurnedAwayError(Exception):

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after


def _too_large(limits: Limits) -> _TurnedAwayError:
    return _TurnedAwayError(413, f'the request is too large; at most {limits.body_bytes} bytes are taken')


async def _collect(receive: Any, limits: Limits) -> bytes | None:
    """What a client sends; None if it hangs up."""
    body = bytearray()
    while (message := await receive())['type'] == 'http.request':
        body += message.get('body', b'')
        if len(body) > limits.body_bytes:
            raise _too_large(limits)
        if not message.get('more_body'):
            return bytes(body)
    return None


def _replay(body: bytes, receive: Any) -> Any:
    """ASGI's ``receive`` that gives the body that was read, and then what comes."""
    messages = [dict(type='http.request', body=body, more_body=False)]

    async def again() -> dict:
        return messages.pop() if messages else await receive()

    return again


async def _turn_away(receive: Any, send: Any, refusal: _TurnedAwayError) -> None:
    """Answer at once, and end the connection when the client has sent all: one that still sends would lose both."""
    content = json.dumps(dict(detail=refusal.detail)).encode()
    headers = [(b'content-type', b'application/json'), (b'content-length', str(len(content)).encode()),
               (b'connection', b'close')]
    if refusal.retry_after is not None:
        headers.append((b'retry-after', str(refusal.retry_after).encode()))
    await send(dict(type='http.response.start', status=refusal.status, headers=headers))
    await send(dict(type='http.response.body', body=content, more_body=True))
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_forget(receive), _LINGER)
    await send(dict(type='http.response.body', body=b''))


async def _forget(receive: Any) -> None:
    while (message := await receive())['type'] == 'http.request' and message.get('more_body'):
        pass
