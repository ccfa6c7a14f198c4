"""LabelMe: one JSON file per image."""
from __future__ import annotations

import base64
import binascii
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_files import content_to_mask
from mmrefseg.structures.mask_formats import Segmentation, mask_to_rle
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import MAX_IMAGE_BYTES, read_json
from mmrefseg.utils.image_header import check_pixels

from .annotation import Annotation, Notes, Options, box_polygon, image_size_of, parse_numbers, split_in, words_at
from .format_recognition import files_of

_EXPRESSION_PATHS = ('description', 'text', 'label')
_CORNERS = 64


def read_labelme(source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    """The shapes of LabelMe files; those of one group and label are parts of one object.

    Args:
        source: a file, or a folder of them.
        options: how they are read.
        notes: gets what is broken or skipped.
    """
    for file in files_of(source, 'labelme', '.json'):
        with notes.element():
            yield from _read_file(file, source, options, notes)


def _read_file(file: Path, source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    content = read_json(file, mend='Save it again.')
    folder = file.parent.relative_to(source).as_posix() if source.is_dir() else '.'
    image = get_field(content, 'imagePath', str, str(file)).replace('\\', '/')
    size = image_size_of(content.get('imageHeight'), content.get('imageWidth'), str(file))
    # It is relative to the file, and may lead out of its folder; the name tells which image of the source it is.
    name = PurePosixPath(image).name if '..' in image or image.startswith('/') else image
    split = split_in(file.relative_to(source).parent.as_posix()) if source.is_dir() else ''
    groups: dict[tuple, list] = defaultdict(list)
    for index, shape in enumerate(get_field(content, 'shapes', list, str(file))):
        where = f'{file}, shapes[{index}]'
        with notes.element():
            outline = _outline(shape, size, options, notes, where)
            if outline is None:
                continue
            words = words_at(shape, _EXPRESSION_PATHS, options, notes, where)
            group = shape.get('group_id')
            key = (index,) if group is None else ('group', str(group), words)
            groups[key].append((words, outline, where))
    for parts in groups.values():
        words, _, where = parts[0]
        outlines = [outline for _, outline, _ in parts]
        segmentation: Segmentation = outlines
        if any(isinstance(outline, dict) for outline in outlines):
            segmentation = {'union': [outline if isinstance(outline, dict) else [outline] for outline in outlines]}
        yield Annotation(f'{folder}/{name}' if folder != '.' else name, size, words, segmentation, where, split,
                         options.in_shares)


def _outline(shape: dict, size: tuple[int, int] | None, options: Options, notes: Notes,
             where: str) -> list[float] | dict | None:
    """A polygon, or the RLE of a mask; None if it is neither."""
    kind = get_field({'shape_type': 'polygon', **shape}, 'shape_type', str, where) if isinstance(shape, dict) else ''
    if not kind:
        raise InputError(f'{where}: expected an object {{...}}')
    points = parse_numbers(shape.get('points'), f'{where}: points')
    if len(points) % 2:
        raise InputError(f'{where}: points must be [x, y] pairs')
    if kind == 'polygon' and len(points) >= 6:
        return points
    if kind == 'mask' and len(points) == 4:
        return _mask(shape.get('mask'), points, size, where)
    if kind == 'circle' and len(points) == 4:
        x, y, radius = *points[:2], math.dist(points[:2], points[2:])
        angles = [2 * math.pi * corner / _CORNERS for corner in range(_CORNERS)]
        return [value for angle in angles for value in (x + radius * math.cos(angle), y + radius * math.sin(angle))]
    if kind == 'rectangle' and len(points) >= 4:
        if options.boxes:
            left, right, top, bottom = *sorted(points[:4:2]), *sorted(points[1:4:2])
            notes.counts['objects have a box alone; the box is their mask'] += 1
            return box_polygon(left, top, right - left, bottom - top)
        notes.counts['objects have no outline, or a box alone; they are skipped (--boxes takes boxes as masks)'] += 1
        return None
    notes.counts[f'shapes are no outlines ({kind[:40]}); they are skipped'] += 1
    return None


def _mask(code: object, corners: list[float], size: tuple[int, int] | None, where: str) -> dict:
    """The RLE of a mask that LabelMe's tool of that name made: a PNG in base64, of the box between two corners."""
    if size is None:
        raise InputError(f'{where}: a mask needs imageHeight and imageWidth, which are missing')
    left, top, right, bottom = map(int, corners)
    if not (0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]):
        raise InputError(f'{where}: the box of its mask does not lie inside of the image of {size} (H, W)')
    if not isinstance(code, str) or len(code) > MAX_IMAGE_BYTES:
        raise InputError(f'{where}: mask must be a PNG in base64, got an object of type {type(code).__name__}')
    check_pixels(*size)
    canvas = np.zeros(size, np.uint8)
    try:
        box = content_to_mask(base64.b64decode(code, validate=True), bottom - top + 1, right - left + 1)
    except binascii.Error as error:
        raise InputError(f'{where}: mask must be a PNG in base64 ({error})') from None
    except InputError as error:
        raise InputError(f'{where}, mask: {error}') from error
    canvas[top:bottom + 1, left:right + 1] = box
    return mask_to_rle(canvas)
