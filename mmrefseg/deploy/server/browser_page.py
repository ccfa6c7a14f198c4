"""The page in the browser: files of our own, examples, and outlines of the masks that it shows."""
from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from mmrefseg.apis.inference.image_decoding import of_bytes
from mmrefseg.apis.inference.result import outer_outlines
from mmrefseg.apis.predicting import read_tasks
from mmrefseg.datasets.refshapes.picture import PictureTask, make_picture
from mmrefseg.datasets.transforms.loading import decode_image
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import mask_to_rle
from mmrefseg.utils.files import MAX_IMAGE_BYTES, read_regular

from .request_reading import read_form

PAGE_FOLDER = Path(__file__).parents[1] / 'page'

_HEADERS = {'Content-Security-Policy': "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
            'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer'}
_MOST_EXAMPLES = 24
_MOST_RUNS = 1 << 19  # of a mask; noise has as many as pixels, and each may be an outline
_AT_A_TIME = 2
_SEED = 7


class Example(NamedTuple):
    """A picture that the page offers to try, with expressions.

    Args:
        name: what it is called.
        content: its file.
        expressions: what may be asked.
    """

    name: str
    content: bytes
    expressions: list[str]


def made_examples(number: int = 3, side: int = 224) -> list[Example]:
    """Made-up scenes with expressions about them.

    Args:
        number: of scenes. Default 3.
        side: height and width in pixels. Default 224.
    """
    examples = []
    for i in range(number):
        picture = make_picture(PictureTask(_SEED, 'val', i, (side, side)))
        texts = [thing.sentences[0].sent for thing in picture.objects if thing.sentences]
        examples.append(Example(f'made-up scene {i + 1}', picture.jpeg, texts[:4]))
    return examples


def named_examples(inputs: list[str]) -> list[Example]:
    """Pictures that the user names, as ``mmrefseg predict`` takes them; JSON Lines bring expressions along.

    Args:
        inputs: images, folders, patterns, lists, JSON Lines.

    Raises:
        InputError: there are more than 24, or one is no image.
        UserError: one is missing.
    """
    examples = []
    for task in read_tasks(inputs, ['']):
        if len(examples) == _MOST_EXAMPLES:
            raise InputError(f'the page shows up to {_MOST_EXAMPLES} examples')
        content = read_regular(task.image, MAX_IMAGE_BYTES)
        of_bytes(content, task.image)  # a list of others may name what nobody shall see
        examples.append(Example(Path(task.file_name).name, content, [text for text in task.expressions if text]))
    return examples


def outlines_of(content: bytes) -> dict[str, Any]:
    """RLE and polygons of a mask, as answers have them.

    Args:
        content: an image file, white inside.

    Raises:
        InputError: it cannot be decoded, or is noise.
    """
    mask = decode_image(content, 'the mask')[..., 0] > 127
    if max(np.count_nonzero(mask[1:] != mask[:-1]), np.count_nonzero(mask[:, 1:] != mask[:, :-1])) > _MOST_RUNS:
        raise InputError('the mask is in too many pieces')
    return dict(rle=mask_to_rle(mask), polygons=[outline.ravel().tolist() for outline in outer_outlines(mask)])


def add_page(app: FastAPI, examples: Iterable[Example]) -> None:
    """Let the server show the page.

    Args:
        app: the server.
        examples: pictures to try.
    """
    examples = list(examples)
    turn = asyncio.Semaphore(_AT_A_TIME)  # a few bytes may be a picture that takes a gigabyte

    @app.middleware('http')
    async def guard(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        if not request.url.path.startswith(('/docs', '/redoc')):  # FastAPI's own pages
            response.headers.update(_HEADERS)
        return response

    @app.get('/page/examples.json', include_in_schema=False)
    async def described() -> list[dict[str, Any]]:
        return [dict(name=example.name, address=f'page/examples/{i}', expressions=example.expressions)
                for i, example in enumerate(examples)]

    @app.get('/page/examples/{number}', include_in_schema=False)
    async def example(number: int) -> Response:
        if not 0 <= number < len(examples):
            raise HTTPException(404)
        return Response(examples[number].content, media_type='application/octet-stream')

    @app.post('/page/outlines', include_in_schema=False)
    async def outlines(request: Request) -> dict[str, Any]:
        mask = (await read_form(request, 1)).get('mask')
        if not isinstance(mask, UploadFile):
            raise HTTPException(422, '`mask` must be an image file')
        content = await mask.read()
        try:
            async with turn:
                return await run_in_threadpool(outlines_of, content)
        except InputError as error:
            raise HTTPException(422, str(error)) from None

    app.mount('/', StaticFiles(directory=PAGE_FOLDER, html=True))

