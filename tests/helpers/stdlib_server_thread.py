"""A server of the standard library in a thread."""
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer


@contextmanager
def in_background(server: BaseServer) -> Iterator[None]:
    """Serve while the block runs, and close the server then."""
    threading.Thread(target=server.serve_forever, args=(0.01, ), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
