"""Connections that nothing comes over: they are given up, as each takes a place that others want."""
from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SECONDS = 10.0
"""Between looks at a connection."""

SLOWEST = 1024
"""Bytes per second in which a client must take its answer."""


class ImpatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP, which itself waits without end for the head of a request, and for a client to take its answer."""

    seconds = SECONDS

    def connection_made(self, transport: Any) -> None:
        """Begin to look.

        Args:
            transport: asyncio's.
        """
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """End looking.

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
