"""Running the server until it is told to stop, and giving up connections that nothing comes over."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mmrefseg.errors import FileError

from .limits import Limits

SECONDS = 10.0
"""Between looks at a connection."""

SLOWEST = 1024
"""Bytes per second in which a client must take its answer."""


class ImpatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP, which itself waits without end for the head of a request, and for a client to take its answer.

    Connections that nothing comes over are given up, as each takes a place that others want.
    """

    seconds = SECONDS

    def connection_made(self, transport: Any) -> None:
        """Begin to watch the connection: one that nothing comes over is given up.

        Args:
            transport: asyncio's.
        """
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch, because the connection has ended.

        Args:
            exc: what ended the connection, None if nothing went wrong.
        """
        self._timer.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._seen, self._unsent = self.cycle, self.transport.get_write_buffer_size()  # a request; bytes of its answer
        self._timer: asyncio.TimerHandle = self.loop.call_later(self.seconds, self._look)

    def _look(self) -> None:
        is_same, left = self.cycle is self._seen, self.transport.get_write_buffer_size()
        if is_same and left and 0 < self._unsent < left + SLOWEST * self.seconds:
            self.transport.abort()  # closing would wait for what is left
        elif is_same and not left and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._look_again()


def run_server(app: FastAPI, host: str, port: int, limits: Limits, on_start: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or a termination, and then answer what is on the way.

    Args:
        app: the server.
        host: address of this machine to listen on.
        port: to listen on; 0 takes a free one.
        limits: how long requests may take.
        on_start: called with the server's address when it listens.

    Raises:
        FileError: the port is taken, or the address is none of this machine.
    """
    config = uvicorn.Config(app, host, port, http=ImpatientProtocol, ws='none', log_level='warning', access_log=False,
                            server_header=False, timeout_graceful_shutdown=int(limits.seconds) + 1,
                            limit_concurrency=8 * limits.waiting)
    try:
        listening = config.bind_socket()
    except (OSError, SystemExit) as error:  # uvicorn logs what went wrong, and exits
        raise FileError(f'cannot listen on {host}, port {port}. Is it taken? Name another with --port') from error
    name = f'[{host}]' if ':' in host else host
    on_start(f'http://{name}:{listening.getsockname()[1]}')
    try:
        uvicorn.Server(config).run([listening])
    finally:
        listening.close()
