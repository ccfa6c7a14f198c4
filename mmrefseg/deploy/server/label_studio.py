"""Label Studio's interface for models: /setup, /predict and, shared with all, /health."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import numpy as np
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from mmrefseg.apis.inference.image_download import download_image
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import rle_to_mask
from mmrefseg.utils.xml_text import parse_xml

from .limits import Limits
from .question_and_reply import Question
from .request_reading import Fetch, check_texts, fetch_image, of_base64, parse_json_object

_MOST_TASKS = 64
_LONGEST_NAME = 200  # of tags and tasks, which stand in every region
_RUN_BITS = (3, 4, 8, 16)
_BASE = 'http://labelstudio.invalid'  # of addresses that name no machine, where none was named


class Tags(NamedTuple):
    """What a labelling configuration has for referring expressions.

    Args:
        brush: name of the ``BrushLabels``.
        label: its first label.
        image: name of the ``Image``.
        image_field: field of a task that holds its address.
        text: name of a ``TextArea`` per region, which gets the expression; None without one.
        text_fields: fields of a task that may hold expressions.
    """

    brush: str
    label: str
    image: str
    image_field: str
    text: str | None
    text_fields: tuple[str, ...]


def read_tags(config: Any) -> Tags:
    """Find the tags in a labelling configuration.

    Args:
        config: its XML.

    Raises:
        InputError: it is none, lacks an image or a brush, or has endless names.
    """
    if not isinstance(config, str):
        raise InputError('label_config must be the XML of a labelling configuration')
    try:
        root = parse_xml(config)
    except InputError as error:
        raise InputError(f'label_config is damaged: {error}') from None
    brush, image = root.find('.//BrushLabels'), root.find('.//Image')
    if brush is None or image is None or not all(
            (brush.get('name'), image.get('name'), (image.get('value') or '').startswith('$'))):
        raise InputError('label_config needs <Image name="image" value="$image"/> and <BrushLabels name="brush" '
                         'toName="image">')
    label = brush.find('Label')
    texts = root.findall('.//TextArea')
    fields = [(text.get('value') or '').removeprefix('$') for text in texts]
    tags = Tags(str(brush.get('name')), (label is not None and label.get('value')) or 'referent',
                str(image.get('name')), str(image.get('value'))[1:],
                next((text.get('name') for text in texts if text.get('perRegion') == 'true'), None),
                (*filter(None, fields), 'expressions', 'expression', 'prompt'))
    if any(len(name or '') > _LONGEST_NAME for name in (tags.brush, tags.label, tags.image, tags.text)):
        raise InputError(f'label_config has tags with names of more than {_LONGEST_NAME} characters')
    return tags


def encode_brush(mask: np.ndarray) -> list[int]:
    """Label Studio's code of brush strokes: runs of RGBA values, all four of them 0 or 255.

    Args:
        mask: (H, W), every value but 0 is inside.

    Returns:
        Bytes.
    """
    inside = mask.ravel() != 0
    starts = np.concatenate([[0], np.flatnonzero(np.diff(inside)) + 1, [inside.size]])
    bits = [f'{4 * inside.size:032b}', f'{8 - 1:05b}', *(f'{size - 1:04b}' for size in _RUN_BITS)]
    for start, length in zip(starts[:-1].tolist(), (4 * np.diff(starts)).tolist(), strict=True):
        value = '1' * 8 if inside[start] else '0' * 8
        while length > 0:
            part = min(length, 1 << _RUN_BITS[-1])
            kind = next(i for i, size in enumerate(_RUN_BITS) if part <= 1 << size)
            bits.append(f'1{kind:02b}{part - 1:0{_RUN_BITS[kind]}b}{value}')
            length -= part
    code = ''.join(bits)
    code += '0' * (-len(code) % 8)
    return list(int(code, 2).to_bytes(len(code) // 8, 'big'))


def label_studio_fetch(server: str | None, token: str | None, limits: Limits, public: Fetch | None) -> Fetch:
    """What gets the images of tasks: from Label Studio itself, and from elsewhere where addresses are allowed.

    Args:
        server: address of Label Studio; None knows none.
        token: shown to it; None shows none.
        limits: how large and slow images may be.
        public: gets images from elsewhere; None refuses them.

    Returns:
        Takes the address in a task, which may be a path on the server.
    """

    def fetch(url: str) -> bytes:
        try:
            whole = urljoin(server or _BASE, url)
            parts = urlsplit(whole)
        except ValueError as error:
            raise InputError(f'the address of the image is none ({error})') from None
        if server and parts[:2] == urlsplit(server)[:2]:
            return download_image(whole, longest=limits.seconds, limit=limits.image_bytes,
                                  headers={'Authorization': f'Token {token}' if token else ''})
        if whole.startswith(_BASE + '/'):
            raise InputError('the image is on Label Studio; name its address with --label-studio')
        if public is None:
            raise InputError('the image is neither in the task nor on the Label Studio of this server')
        return public(whole)

    return fetch


def expressions_of(task: Mapping[str, Any], tags: Tags, context: Any) -> list[str]:
    """What is asked: by what the annotator typed last, or else by the task.

    Args:
        task: its data.
        tags: where they may stand.
        context: of an interactive request.
    """
    typed = context.get('result') if isinstance(context, dict) else None
    for region in reversed(typed if isinstance(typed, list) else []):
        value = region.get('value') if isinstance(region, dict) and region.get('type') == 'textarea' else None
        if isinstance(value, dict) and value.get('text'):
            return _texts(value['text'])
    return _texts(next((task[field] for field in tags.text_fields if task.get(field)), []))


def _texts(value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text for text in values if isinstance(text, str) and text.strip()]


def regions_of(content: Mapping[str, Any], tags: Tags, number: Any) -> list[dict[str, Any]]:
    """Regions as Label Studio draws them: brush strokes, and the expression beside each.

    Args:
        content: of a reply.
        tags: names in the labelling configuration.
        number: id of the task.
    """
    height, width = content['size']
    name = str(number)[:_LONGEST_NAME] if isinstance(number, str | int) else ''
    regions: list[dict[str, Any]] = []
    for i, answer in enumerate(content['answers']):
        mask = rle_to_mask(answer['rle'], height, width)
        if not mask.any():
            continue
        common = dict(id=f'mmrefseg-{name}-{i}', to_name=tags.image, original_width=width, original_height=height,
                      image_rotation=0, score=answer['score'])
        regions.append(dict(common, from_name=tags.brush, type='brushlabels', value=dict(
            format='rle', rle=encode_brush(mask), brushlabels=[tags.label]), meta=dict(text=[answer['expression']])))
        if tags.text is not None:
            regions.append(dict(common, from_name=tags.text, type='textarea',
                                value=dict(text=[answer['expression']])))
    return regions


def add_label_studio(app: FastAPI, limits: Limits, fetch: Fetch, version: str) -> None:
    """Let Label Studio ask the server.

    Args:
        app: the server.
        limits: what it takes.
        fetch: as :func:`label_studio_fetch` makes it.
        version: of the model; Label Studio asks again about tasks that have no prediction of this one.
    """
    answer: Callable = app.state.asking.answer

    @app.post('/setup', include_in_schema=False)
    async def setup(request: Request) -> dict[str, Any]:
        with suppress(InputError):  # what a connection test sends has no configuration
            read_tags(parse_json_object(await request.body()).get('schema'))
        return dict(model_version=version)

    @app.post('/webhook', include_in_schema=False)
    async def webhook() -> dict[str, Any]:
        return {}

    @app.post('/predict', include_in_schema=False)
    async def predict(request: Request) -> dict[str, Any]:
        body = parse_json_object(await request.body())
        tasks, parameters = body.get('tasks'), body.get('params')
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise HTTPException(422, '`tasks` must be a list of tasks')
        if len(tasks) > _MOST_TASKS:
            raise HTTPException(413, f'{len(tasks)} tasks were sent; at most {_MOST_TASKS} are taken')
        try:
            tags = read_tags(body.get('label_config'))
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        context = parameters.get('context') if isinstance(parameters, dict) else None
        results = [await predict_one(request, task, tags, context) for task in tasks]
        return dict(results=results, model_version=version)

    async def predict_one(request: Request, task: dict, tags: Tags, context: Any) -> dict[str, Any]:
        """Of one task; what cannot be answered is said beside it, so that the others are."""
        data = task.get('data')
        texts = expressions_of(data, tags, context) if isinstance(data, dict) else []
        if not texts:
            return dict(result=[], score=0.0)
        try:
            texts = check_texts(texts, limits)
            image = await _image(request, data.get(tags.image_field), limits, fetch)
            content = await answer(request, Question(image, texts))
        except HTTPException as error:
            if error.status_code >= 500:
                raise
            return dict(result=[], score=0.0, error=error.detail)
        regions = await run_in_threadpool(regions_of, content, tags, task.get('id'))
        scores = [region['score'] for region in regions]
        return dict(result=regions, score=float(np.mean(scores)) if scores else 0.0)


async def _image(request: Request, address: Any, limits: Limits, fetch: Fetch) -> bytes:
    if not isinstance(address, str):
        raise HTTPException(422, 'the task has no image')
    if address.startswith('data:'):
        return of_base64(address)
    return await fetch_image(request, address, limits, fetch)
