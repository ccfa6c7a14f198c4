"""What stands before the server: how much may come in, how fast, and how many at a time."""
from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from time import monotonic
from typing import Any

from .messages import Limits
from .metrics import Metrics

RETRY_AFTER = 2
"""Seconds after which a client that was turned away may come again."""

_LINGER = 2  # seconds


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
        if self._inside >= self._limits.waiting:
            await _linger(receive)
            await _turn_away(send, 503, 'the server is busy; come again', RETRY_AFTER)
            return
        self._inside += 1
        try:
            body = await self._read(scope, receive, send)
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
        finally:
            self._inside -= 1

    async def _read(self, scope: dict, receive: Any, send: Any) -> bytes | None:
        """The whole body; None if the request was turned away or the client hung up."""
        most = self._limits.body_bytes
        declared = dict(scope['headers']).get(b'content-length', b'0')
        try:
            if declared.isdigit() and int(declared[:20]) > most:
                raise _TooLargeError
            return await asyncio.wait_for(_collect(receive, most), self._limits.seconds)
        except _TooLargeError:
            await _turn_away(send, 413, f'the request is too large; at most {most} bytes are taken')
        except asyncio.TimeoutError:  # another class before Python 3.11
            await _turn_away(send, 408, f'the request did not arrive within {self._limits.seconds:.0f} seconds')
        return None


class _TooLargeError(Exception):
    pass


async def _linger(receive: Any) -> None:
    """Let a client send all, and forget it: one that is still sending may lose the answer with the connection."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_forget(receive), _LINGER)


async def _forget(receive: Any) -> None:
    while (message := await receive())['type'] == 'http.request' and message.get('more_body'):
        pass


async def _collect(receive: Any, most: int) -> bytes | None:
    """What a client sends; None if it hangs up."""
    body = bytearray()
    while (message := await receive())['type'] == 'http.request':
        body += message.get('body', b'')
        if len(body) > most:
            raise _TooLargeError
        if not message.get('more_body'):
            return bytes(body)
    return None


def _replay(body: bytes, receive: Any) -> Any:
    """ASGI's ``receive`` that gives the body that was read, and then what comes."""
    messages = [dict(type='http.request', body=body, more_body=False)]

    async def again() -> dict:
        return messages.pop() if messages else await receive()

    return again


async def _turn_away(send: Any, status: int, detail: str, retry_after: int | None = None) -> None:
    headers = [(b'content-type', b'application/json'), (b'connection', b'close')]
    if retry_after is not None:
        headers.append((b'retry-after', str(retry_after).encode()))
    await send(dict(type='http.response.start', status=status, headers=headers))
    await send(dict(type='http.response.body', body=json.dumps(dict(detail=detail)).encode()))
