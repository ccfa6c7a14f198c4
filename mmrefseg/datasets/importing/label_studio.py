"""Label Studio's JSON export: polygons in percent, brush strokes in its own run-length code."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation, mask_to_rle
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import read_json
from mmrefseg.utils.image_header import check_pixels

from .annotation import Annotation, Notes, Options, box_polygon, image_size_of, parse_number, parse_numbers, words_of
from .format_recognition import files_of

_IMAGES = ('image', 'img', 'url')
_ENDINGS = ('.jpg', '.jpeg', '.png', '.webp')
_OUTLINES = {'polygon', 'polygonlabels', 'brush', 'brushlabels', 'rectangle', 'rectanglelabels', 'ellipse',
             'ellipselabels'}


def read_label_studio(source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    """The regions of all tasks, with the text of each region; else the task's only text; else the label.

    Args:
        source: a file of tasks, or a folder of them.
        options: how they are read; ``expression`` is ``'label'`` or the name of a text area.
        notes: gets what is broken or skipped.
    """
    for file in files_of(source, 'label-studio', '.json'):
        tasks = read_json(file, mend='Export it again.')
        for index, task in enumerate(tasks if isinstance(tasks, list) else [tasks]):
            where = f'{file}, tasks[{index}]'
            with notes.element():
                yield from _of_task(task, where, options, notes)


def _of_task(task: dict, where: str, options: Options, notes: Notes) -> Iterator[Annotation]:
    data = get_field(task, 'data', dict, where)
    name = image_name(_address(data, where))
    annotations = get_field({'annotations': task.get('annotations') or task.get('completions') or []}, 'annotations',
                            list, where)
    if not annotations:
        notes.counts['tasks have no annotations; they are skipped, and so are predictions'] += 1
    if sum(isinstance(annotation, dict) and not annotation.get('was_cancelled') for annotation in annotations) > 1:
        notes.counts['tasks have several annotations; all of them are taken'] += 1
    for number, annotation in enumerate(annotations):
        inside = f'{where}, annotations[{number}]'
        results = get_field(annotation, 'result', list, inside)
        if annotation.get('was_cancelled'):
            notes.counts['annotations were skipped by their annotators'] += 1
            continue
        yield from _of_results(results, name, inside, options, notes)


def _address(data: dict, where: str) -> str:
    """Of the task's image: in a field that is called so, or the only one that looks like an address of one."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    called = [texts[key] for key in _IMAGES if key in texts]
    looks = sorted({value for value in texts.values()
                    if any(part.lower().endswith(_ENDINGS) for part in (value, value.partition('?')[0]))})
    if not called and not looks:
        raise InputError(f'{where}: its data name no image')
    if not called and len(looks) > 1:
        raise InputError(f'{where}: its data name several images, {looks[0][:80]!r} and {looks[1][:80]!r}; call the '
                         f'field of the one that was labelled {_IMAGES[0]!r}')
    return (called or looks)[0]


def _of_results(results: list, name: str, where: str, options: Options, notes: Notes) -> Iterator[Annotation]:
    regions: dict[str, list[dict]] = defaultdict(list)
    for index, result in enumerate(results):
        if not isinstance(result, dict) or not isinstance(result.get('value', {}), dict):
            raise InputError(f'{where}, result[{index}]: expected an object {{...}} with a value')
        get_field({'type': '', **result}, 'type', str, f'{where}, result[{index}]')
        regions[str(result.get('id', index))].append(result)
    shapes = {key: parts for key, parts in regions.items() if any(part.get('type') in _OUTLINES for part in parts)}
    texts = [part for key, parts in regions.items() if key not in shapes for part in parts]
    for key, parts in shapes.items():
        inside = f'{where}, region {key[:20]!r}'
        with notes.element():
            shape = next(part for part in parts if part['type'] in _OUTLINES)
            if shape.get('image_rotation'):
                raise InputError(f'{inside}: the image was rotated in Label Studio by {shape["image_rotation"]} '
                                 'degrees. Turn the image itself, and annotate it as it is.')
            size = image_size_of(shape.get('original_height'), shape.get('original_width'), inside)
            if size is None:
                raise InputError(f'{inside}: original_height and original_width are missing')
            segmentation = _outline(shape, size, options, notes, inside)
            if segmentation is not None:
                yield Annotation(name, size, _words(parts, texts if len(shapes) == 1 else [], options, notes, inside),
                                 segmentation, inside)


def _words(parts: list[dict], texts: list[dict], options: Options, notes: Notes, where: str) -> tuple[str, ...]:
    """Expressions of a region, else in texts of its task; else its labels."""
    field = options.expression
    labels = [label for part in parts for key, labels in part.get('value', {}).items() if key.endswith('labels')
              for label in (labels if isinstance(labels, list) else [])]
    if field == 'label':
        return words_of(labels, f'{where}: label')
    areas = [[part for part in found if part.get('type') == 'textarea'] for found in (parts, texts)]
    for found in areas:
        if own := tuple(word for part in found if field in (None, part.get('from_name'))
                        for word in words_of(part.get('value', {}).get('text'), f'{where}: text')):
            return own
    if field:
        notes.fields = notes.fields or sorted({str(part.get('from_name'))[:40] for found in areas for part in found})
        return ()
    notes.of_class()
    return words_of(labels, f'{where}: label')


def _outline(shape: dict, size: tuple[int, int], options: Options, notes: Notes, where: str) -> Segmentation:
    height, width = size
    value = get_field(shape, 'value', dict, where)
    kind = shape['type'].removesuffix('labels')
    if kind == 'polygon':
        points = parse_numbers(value.get('points'), f'{where}: points')
        if len(points) % 2 or len(points) < 6:
            raise InputError(f'{where}: points must be three [x, y] pairs or more')
        return [[number * (width, height)[index % 2] / 100 for index, number in enumerate(points)]]
    if kind == 'brush':
        return mask_to_rle(decode_brush(value.get('rle'), height, width, where))
    if kind == 'rectangle' and options.boxes and not value.get('rotation'):
        x, y, box_width, box_height = (parse_number(value.get(key), f'{where}: {key}') / 100
                                       for key in ('x', 'y', 'width', 'height'))
        notes.counts['objects have a box alone; the box is their mask'] += 1
        return [box_polygon(x * width, y * height, box_width * width, box_height * height)]
    if kind == 'rectangle':
        notes.counts['objects have no outline, or a box alone; they are skipped (--boxes takes boxes as masks)'] += 1
    else:
        notes.counts[f'shapes are no outlines ({kind}); they are skipped'] += 1
    return None


def decode_brush(code: Any, height: int, width: int, where: str) -> np.ndarray:
    """Decode brush strokes: RGBA values in runs whose lengths and values have a number of bits that the code declares.

    Args:
        code: list of bytes.
        height: height of the image in pixels.
        width: width of the image in pixels.
        where: file and element, for errors.

    Returns:
        (H, W), uint8, 1 inside: where anything was painted.

    Raises:
        InputError: it is no such code, or does not fill the image.
    """
    check_pixels(height, width)
    if not isinstance(code, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in code):
        raise InputError(f'{where}: rle must be a list of bytes, 0 to 255')
    bits = np.unpackbits(np.array(code, np.uint8))
    position = 0

    def take(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise InputError(f'{where}: its rle is cut off. Export it again.')
        value = int(''.join(map(str, bits[position:position + count])), 2)
        position += count
        return value

    total = take(32)
    if total != 4 * height * width:
        raise InputError(f'{where}: its rle holds {total} values, but 4 per pixel of {height} x {width} are '
                         f'{4 * height * width}')
    word_bits = take(5) + 1
    length_bits = [take(4) + 1 for _ in range(4)]
    values, filled = np.zeros(total, bool), 0
    while filled < total:
        is_run, length = take(1), take(length_bits[take(2)]) + 1
        if filled + length > total:
            raise InputError(f'{where}: the runs of its rle overflow the image')
        if is_run:
            values[filled:filled + length] = take(word_bits) != 0
        else:
            literal = bits[position:position + length * word_bits]
            if len(literal) < length * word_bits:
                raise InputError(f'{where}: its rle is cut off. Export it again.')
            values[filled:filled + length] = literal.reshape(length, word_bits).any(axis=1)
            position += length * word_bits
        filled += length
    return values[3::4].reshape(height, width).astype(np.uint8)  # what is opaque was painted


def image_name(address: str) -> str:
    """The name of an image that Label Studio addresses: an upload, a local file, or one of a cloud.

    Args:
        address: such as ``'/data/upload/1/0a1b2c3d-cat.jpg'`` or ``'/data/local-files/?d=pets/cat.jpg'``.

    Raises:
        InputError: it is no address.
    """
    try:
        parts = urlsplit(address)
        local = parse_qs(parts.query).get('d')
    except ValueError as error:
        raise InputError(f'{address[:80]!r} is no address of an image ({error})') from None
    return unquote(local[0] if local else parts.path or address).lstrip('/')
