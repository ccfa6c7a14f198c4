"""From a request to a question: a form with a file, or JSON."""
from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mmrefseg.apis.inference.expressions_per_image import check_expressions
from mmrefseg.errors import UserError
from mmrefseg.utils.json_text import decode_json

from .limits import Limits
from .question_and_reply import INCLUDED, Question

Fetch = Callable[[str], bytes]
"""What an address holds; raises UserError."""

_UTF_8 = re.compile(r'charset="?utf-?8"?\s*(?:;|$)', re.IGNORECASE)
_FIELDS = ('image', 'image_url', 'expressions', 'threshold', 'include')


async def read_question(request: Request, limits: Limits, fetch: Fetch | None) -> Question:
    """Read a question.

    Args:
        request: the request, whose body is within limits.
        limits: what is taken.
        fetch: gets images from addresses; None refuses them.

    Raises:
        HTTPException: the request is damaged (400), of another type (415), too large (413), or asks for what cannot be
            (422).
    """
    kind = request.headers.get('content-type', '').partition(';')[0].strip().lower()
    if kind == 'multipart/form-data':
        fields = await _of_form(await read_form(request, limits.expressions + 16))
    elif kind == 'application/json':
        fields = parse_json_object(await request.body())
    else:
        raise HTTPException(415, 'send multipart/form-data with the file `image`, or application/json')
    if unknown := fields.keys() - set(_FIELDS):
        raise HTTPException(422, f'unknown fields {sorted(unknown)[:5]}; known are {", ".join(_FIELDS)}')
    texts = check_texts(fields.get('expressions'), limits)
    return Question(await _image(request, fields, limits, fetch), texts, _threshold(fields.get('threshold')),
                    _include(fields.get('include')))


async def read_form(request: Request, most_fields: int) -> FormData:
    """A form with up to one file.

    Args:
        request: the request, whose body is within limits.
        most_fields: fields that it may have beside the file.

    Raises:
        HTTPException: it is damaged, or not in UTF-8.
    """
    # Any of Python's codecs could be named, of which some take an hour for a megabyte.
    head = request.headers.get('content-type', '')
    if len(re.findall('charset', head, re.IGNORECASE)) != len(_UTF_8.findall(head)):
        raise HTTPException(400, 'the form is in another encoding of characters; send UTF-8')
    return await request.form(max_files=1, max_fields=most_fields)  # answers 400 itself


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Read the JSON object that is a request's body.

    Args:
        body: of a request.

    Raises:
        HTTPException: it is none.
    """
    try:
        fields = decode_json(body.decode())
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f'the body is no JSON: {str(error)[:200]}') from None
    if not isinstance(fields, dict):
        raise HTTPException(400, 'the body must be a JSON object')
    return fields


async def _of_form(form: FormData) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            value = await value.read()
        if name in ('expressions', 'include'):
            fields.setdefault(name, []).append(value)
        else:
            fields[name] = value
    await form.close()
    return fields


def check_texts(texts: Any, limits: Limits) -> list[str]:
    """Check the expressions of a request, and return them as a list.

    Args:
        texts: one, or a list.
        limits: how many are taken.

    Raises:
        HTTPException: they are none (422), or too many (413).
    """
    if not isinstance(texts, str | list):
        raise HTTPException(422, '`expressions` must be what to look for: a text, or a list of texts')
    if isinstance(texts, list) and len(texts) > limits.expressions:
        raise HTTPException(413, f'{len(texts)} expressions were asked; at most {limits.expressions} are taken')
    try:
        return check_expressions(texts)
    except UserError as error:
        raise HTTPException(422, str(error)) from None


async def _image(request: Request, fields: Mapping[str, Any], limits: Limits, fetch: Fetch | None) -> bytes:
    if (fields.get('image') is None) == (fields.get('image_url') is None):
        raise HTTPException(422, 'send either `image` (a file, or in JSON its base64) or `image_url`')
    image = fields.get('image')
    if image is None:
        image = await _of_url(request, fields['image_url'], limits, fetch)
    elif isinstance(image, str):
        image = of_base64(image)
    if not isinstance(image, bytes) or not image:
        raise HTTPException(422, '`image` is empty or no file')
    if len(image) > limits.image_bytes:
        raise HTTPException(413, f'the image has {len(image)} bytes; at most {limits.image_bytes} are taken')
    return image


async def _of_url(request: Request, url: Any, limits: Limits, fetch: Fetch | None) -> bytes:
    if fetch is None:
        raise HTTPException(403, 'this server takes no addresses: send the image itself')
    if not isinstance(url, str) or not url.lower().startswith(('http://', 'https://')):
        raise HTTPException(422, 'an address must begin with http:// or https://')
    return await fetch_image(request, url, limits, fetch)


async def fetch_image(request: Request, url: str, limits: Limits, fetch: Fetch) -> bytes:
    """What an address holds; it takes the place of what was fetched for the request before.

    Args:
        request: what it is fetched for.
        url: the address.
        limits: how large it may be.
        fetch: gets it.

    Raises:
        HTTPException: it cannot be had (422), or there is no room for it (503).
    """
    holding = request.scope['holding']
    holding.hold('image', limits.image_bytes)
    try:
        content = await run_in_threadpool(fetch, url)
    except UserError as error:
        raise HTTPException(422, str(error)) from None
    holding.hold('image', len(content))
    return content


def of_base64(text: str) -> bytes:
    """The file in base64, alone or in a ``data:`` address.

    Args:
        text: what a client sent.

    Raises:
        HTTPException: it is neither.
    """
    if text.startswith('data:'):
        text = text.partition(';base64,')[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters beyond ASCII
        raise HTTPException(422, '`image` must be the base64 of an image file') from None


def _threshold(value: Any) -> float | None:
    if value is None or value == '':
        return None
    try:
        number = float(value) if isinstance(value, str | float | int) and not isinstance(value, bool) else float('nan')
    except (ValueError, OverflowError):
        number = float('nan')
    if not isfinite(number) or not 0 <= number <= 1:
        raise HTTPException(422, '`threshold` must be a probability from 0 to 1')
    return number


def _include(names: Any) -> tuple[str, ...]:
    if names is None:
        return Question.__new__.__defaults__[1]
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Sequence) or not set(map(str, names)) <= set(INCLUDED):
        raise HTTPException(422, f'`include` must be of {", ".join(INCLUDED)}')
    return tuple(dict.fromkeys(names))  # a million of the same would go to a worker
