"""What stands before the server: who may ask, how much may come in, how fast, and how much at a time."""
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from .allowed_hosts import AllowedHosts
from .limits import Limits
from .prometheus_metrics import ServerMetrics

RETRY_AFTER = 2
"""Seconds after which a client that was turned away may come again."""

_LINGER = 2  # seconds that a client that was turned away may still send


def busy() -> HTTPException:
    """What a client is told that may come again."""
    return HTTPException(503, 'the server is busy; come again', {'Retry-After': str(RETRY_AFTER)})


class Room:
    """Bytes that all requests may hold together.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self.left = size


class Holding:
    """What one request holds of a room, until the block ends that it is the context of.

    Args:
        room: the room.
    """

    def __init__(self, room: Room) -> None:
        self._room, self._held = room, dict[str, int]()

    def __enter__(self) -> Holding:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.left += sum(self._held.values())

    def hold(self, what: str, size: int) -> None:
        """Hold bytes, in place of those that were held for the same.

        Args:
            what: what for, such as ``'body'``.
            size: how many bytes.

        Raises:
            HTTPException: there is no room.
        """
        more = size - self._held.get(what, 0)
        if more > self._room.left:
            raise busy()
        self._room.left -= more
        self._held[what] = size


class Admission:
    """Reads the body of each request within limits and turns away what doesn't keep to them, as ASGI middleware.

    What a request holds is the :class:`Holding` in its scope, ``holding``.

    Args:
        app: what answers.
        limits: the limits.
        metrics: counts requests.
        names: the server's.
    """

    def __init__(self, app: Any, limits: Limits, metrics: ServerMetrics, names: AllowedHosts) -> None:
        self._app, self._limits, self._metrics, self._names = app, limits, metrics, names
        self._inside, self._room = 0, Room(limits.held_bytes)

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
        try:
            self._names.check(scope['method'], Headers(scope=scope))
            if scope['method'] not in ('POST', 'PUT', 'PATCH'):
                await self._app(scope, receive, send)
                return
            with self._place(), Holding(self._room) as holding:
                body = await self._read(scope, receive, holding)
                if body is not None:
                    scope['holding'] = holding
                    await self._app(scope, _replay(body, receive), send)
        except HTTPException as refusal:
            await _turn_away(receive, send, refusal)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for requests."""
        if self._inside >= self._limits.waiting:
            raise busy()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def _read(self, scope: dict, receive: Any, holding: Holding) -> bytes | None:
        """The whole body; None if the client hung up."""
        told = dict(scope['headers']).get(b'content-length', b'0')
        declared = int(told[:20]) if told.isdigit() else 0
        if declared > self._limits.body_bytes:
            raise _too_large(self._limits)
        holding.hold('body', declared)
        try:
            return await asyncio.wait_for(_collect(receive, self._limits, holding, declared), self._limits.seconds)
        except asyncio.TimeoutError:  # another class before Python 3.11
            raise HTTPException(408, f'the request did not arrive within {self._limits.seconds:.0f} seconds'
                                ) from None


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(413, f'the request is too large; at most {limits.body_bytes} bytes are taken')


async def _collect(receive: Any, limits: Limits, holding: Holding, declared: int) -> bytes | None:
    """What a client sends; None if it hangs up."""
    body = bytearray()
    while (message := await receive())['type'] == 'http.request':
        body += message.get('body', b'')
        if len(body) > limits.body_bytes:
            raise _too_large(limits)
        holding.hold('body', max(len(body), declared))
        if not message.get('more_body'):
            return bytes(body)
    return None


def _replay(body: bytes, receive: Any) -> Any:
    """ASGI's ``receive`` that gives the body that was read, and then what comes."""
    messages = [dict(type='http.request', body=body, more_body=False)]

    async def again() -> dict:
        return messages.pop() if messages else await receive()

    return again


async def _turn_away(receive: Any, send: Any, refusal: HTTPException) -> None:
    """Answer at once, and end the connection when the client has sent all: one that still sends would lose both."""
    content = json.dumps(dict(detail=refusal.detail)).encode()
    headers = [(b'content-type', b'application/json'), (b'content-length', str(len(content)).encode()),
               (b'connection', b'close')]
    headers += [(name.lower().encode(), value.encode()) for name, value in (refusal.headers or {}).items()]
    await send(dict(type='http.response.start', status=refusal.status_code, headers=headers))
    await send(dict(type='http.response.body', body=content, more_body=True))
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_forget(receive), _LINGER)
    await send(dict(type='http.response.body', body=b''))


async def _forget(receive: Any) -> None:
    while (message := await receive())['type'] == 'http.request' and message.get('more_body'):
        pass
