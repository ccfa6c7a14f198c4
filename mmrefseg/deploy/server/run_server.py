"""Running the server until it is told to stop."""
from __future__ import annotations

from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from mmrefseg.errors import FileError

from .impatient_protocol import ImpatientProtocol
from .messages import Limits


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
    config = uvicorn.Config(app, host, port, http=ImpatientProtocol, log_level='warning', access_log=False,
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
