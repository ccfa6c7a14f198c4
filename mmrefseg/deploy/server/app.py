"""The server's addresses."""
from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from mmrefseg.version import __version__

from .admission import Admission, busy
from .allowed_hosts import AllowedHosts
from .limits import Limits
from .prometheus_metrics import ServerMetrics
from .question_and_reply import INCLUDED, Question
from .request_reading import Fetch, read_question
from .worker_pool import BusyError, WorkerPool

_IMAGE = dict(type='string', description='the image: a file, or in JSON its base64')
_PROPERTIES = dict(
    image_url=dict(type='string', description='instead of `image`, where the server allows it'),
    expressions=dict(type='array', items=dict(type='string'), description='what to look for'),
    threshold=dict(type='number', minimum=0, maximum=1, description="of a mask's pixels; the model's if left out"),
    include=dict(type='array', items=dict(type='string', enum=list(INCLUDED)), default=['rle'],
                 description='what each answer brings along'))
_BODY = dict(requestBody=dict(required=True, content={
    'multipart/form-data': dict(schema=dict(type='object', required=['image', 'expressions'], properties=dict(
        image=dict(_IMAGE, format='binary'), **_PROPERTIES))),
    'application/json': dict(schema=dict(type='object', required=['expressions'], properties=dict(
        image=dict(_IMAGE, format='byte'), **_PROPERTIES)))}))
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: dict(description='the request is damaged, or calls the server by another name'),
    403: dict(description='this server takes no addresses, or a page of another site asks'),
    408: dict(description='the request did not arrive in time'),
    413: dict(description='the image or the number of expressions is too large'),
    415: dict(description='neither a form nor JSON'),
    422: dict(description='a value cannot be, or the image cannot be read'),
    500: dict(description='the model failed on this'),
    503: dict(description='busy; come again after the seconds in Retry-After'),
    504: dict(description='no answer in time'),
}


class Asking:
    """Brings questions of requests to the pool.

    Args:
        pool: answers.
        limits: how long that may take.
    """

    def __init__(self, pool: WorkerPool, limits: Limits) -> None:
        self._pool, self._limits = pool, limits

    async def answer(self, request: Request, question: Question) -> dict[str, Any]:
        """Wait for an answer, as long as the client does.

        Args:
            request: where the question is from, its body read.
            question: the question.

        Raises:
            HTTPException: there is none.
        """
        try:
            future = asyncio.wrap_future(self._pool.submit(question))
        except BusyError:
            raise busy() from None
        gone = asyncio.ensure_future(_hung_up(request))
        await asyncio.wait({future, gone}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not future.done():
            future.cancel()  # nobody waits for it any more
            raise HTTPException(504, f'there was no answer within {self._limits.seconds:.0f} seconds')
        reply = future.result()
        if reply.refused is not None:
            raise HTTPException(422, reply.refused)
        if reply.content is None:
            raise HTTPException(500, "the model failed on this; the server's log says why")
        return reply.content


async def _hung_up(request: Request) -> None:
    with suppress(asyncio.CancelledError):
        while (await request.receive())['type'] != 'http.disconnect':
            pass


def create_app(pool: WorkerPool, limits: Limits, metrics: ServerMetrics, fetch: Fetch | None = None,
               names: AllowedHosts | None = None) -> FastAPI:
    """Make the server's application: its addresses, behind the limits.

    Args:
        pool: answers; it runs as long as the server.
        limits: what is taken.
        metrics: counts.
        fetch: gets images from addresses. Default None, addresses are refused.
        names: the server's. Default None, those of this machine.
    """
    app = FastAPI(title='mmrefseg', version=__version__, description='Finds in images what expressions refer to.')
    app.add_middleware(Admission, limits=limits, metrics=metrics, names=names or AllowedHosts())
    asking = app.state.asking = Asking(pool, limits)

    @app.post('/v1/segment', openapi_extra=_BODY, responses=_RESPONSES)
    async def segment(request: Request) -> dict[str, Any]:
        """Find what expressions refer to in an image: a box, a score and a mask for each."""
        return await asking.answer(request, await read_question(request, limits, fetch))

    @app.get('/health')
    async def health(response: Response) -> dict[str, Any]:
        """Whether a process is there that answers."""
        ready = pool.ready
        response.status_code = 200 if ready else 503
        return dict(status='UP' if ready else 'DOWN', workers=ready, waiting=pool.waiting, version=__version__)

    @app.get('/metrics')
    async def measured() -> Response:
        """Counters in Prometheus's format."""
        return Response(metrics.text(), media_type='text/plain; version=0.0.4')

    return app
