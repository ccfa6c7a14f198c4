"""A server in a thread, on a free port of this machine."""
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


@contextmanager
def running(app: FastAPI, **settings) -> Iterator[str]:
    """Serve an app, with uvicorn's settings, and give its address."""
    config = uvicorn.Config(app, '127.0.0.1', 0, log_level='error', **settings)
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening], ), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f'http://127.0.0.1:{listening.getsockname()[1]}'
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
