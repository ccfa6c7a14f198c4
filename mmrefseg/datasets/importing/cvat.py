"""CVAT's own XML, for images and for videos."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation, mask_to_rle
from mmrefseg.utils.files import read_regular
from mmrefseg.utils.image_header import check_pixels
from mmrefseg.utils.xml_text import parse_xml

from .annotation import (
    Annotation,
    Notes,
    Options,
    box_polygon,
    image_size_of,
    parse_number,
    parse_whole_numbers,
    split_in,
    words_at,
)
from .format_recognition import files_of

_MAX_BYTES = 1 << 29
_EXPRESSION_PATHS = ('attributes.expression', 'attributes.caption', 'attributes.description', 'attributes.text',
                     'label')


def read_cvat(source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    """Read the shapes of CVAT's XML, with what is said of each.

    Args:
        source: the file ``annotations.xml``, or a folder of such.
        options: how they are read.
        notes: gets what is broken or skipped.

    Raises:
        InputError: a file is no XML, declares a document type, or is of a video, whose frames have no names.
    """
    for file in files_of(source, 'cvat', '.xml'):
        content = read_regular(file, _MAX_BYTES)
        try:
            root = parse_xml(content)
        except InputError as error:
            raise InputError(f'{file}: {error}. Export it again.') from error
        if root.find('track') is not None:
            raise InputError(f'{file} is "CVAT for video", which names no images. Export it as "CVAT for images 1.1" '
                             'with "Save images".')
        split = split_in(str(file.relative_to(source))) if source.is_dir() else ''
        for image in root.iter('image'):
            yield from _of_image(image, file, split, options, notes)


def _of_image(image: Element, file: Path, split: str, options: Options, notes: Notes) -> Iterator[Annotation]:
    name = image.get('name', '')
    with notes.element():
        size = image_size_of(image.get('height'), image.get('width'), f'{file}, image {name[:80]!r}')
        of_groups = _attributes_of_groups(image)
        for index, shape in enumerate(image):
            where = f'{file}, image {name[:80]!r}, {shape.tag} {index}'
            with notes.element():
                segmentation = _outline(shape, size, options, notes, where)
                if segmentation is None:
                    continue
                attributes = {**_attributes(shape), **of_groups.get(shape.get('group_id'), {})}
                words = words_at({**attributes, 'attributes': attributes, 'label': shape.get('label')},
                                 _EXPRESSION_PATHS, options, notes, where)
                own_split = split or split_in(image.get('subset', ''))
                yield Annotation(name, size, words, segmentation, where, own_split, options.in_shares)


def _attributes(shape: Element) -> dict[str, str]:
    """The attributes of a shape that hold something."""
    return {entry.get('name', ''): entry.text for entry in shape.iter('attribute') if (entry.text or '').strip()}


def _attributes_of_groups(image: Element) -> dict[str | None, dict[str, str]]:
    """The attributes of grouped shapes, which are parts of one object; that of a part goes for all.

    Parts that have different ones keep theirs.
    """
    groups: dict[str | None, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for shape in image:
        for name, text in _attributes(shape).items():
            groups[shape.get('group_id')][name].add(text)
    return {group: {name: texts.pop() for name, texts in attributes.items() if len(texts) == 1}
            for group, attributes in groups.items() if group is not None}


def _outline(shape: Element, size: tuple[int, int] | None, options: Options, notes: Notes, where: str) -> Segmentation:
    if shape.tag == 'polygon':
        pairs = [point.split(',') for point in shape.get('points', '').split(';')]
        if any(len(pair) != 2 for pair in pairs):
            raise InputError(f'{where}: points must be "x,y;x,y;..."')
        return [[parse_number(value.strip(), f'{where}: points') for pair in pairs for value in pair]]
    if shape.tag == 'mask':
        if size is None:
            raise InputError(f'{where}: its image has no height and width')
        return _mask(shape, size, where)
    if shape.tag == 'box':
        if options.boxes and parse_number(shape.get('rotation', '0'), f'{where}: rotation') == 0:
            left, top, right, bottom = (parse_number(shape.get(side), f'{where}: {side}')
                                        for side in ('xtl', 'ytl', 'xbr', 'ybr'))
            notes.counts['objects have a box alone; the box is their mask'] += 1
            return [box_polygon(left, top, right - left, bottom - top)]
        notes.counts['objects have no outline, or a box alone; they are skipped (--boxes takes boxes as masks)'] += 1
    else:
        notes.counts[f'shapes are no outlines ({shape.tag[:40]}); they are skipped'] += 1
    return None


def _mask(shape: Element, size: tuple[int, int], where: str) -> dict:
    """A mask whose runs of outside and inside, row by row, fill a box."""
    left, top, width, height = (parse_whole_numbers([shape.get(key)], f'{where}: {key}')[0]
                                for key in ('left', 'top', 'width', 'height'))
    check_pixels(*size)
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        raise InputError(f'{where}: its box does not lie inside of the image of {size} (H, W)')
    runs = np.array([parse_number(run.strip(), f'{where}: rle') for run in shape.get('rle', '').split(',')])
    if (runs < 0).any() or (runs != np.floor(runs)).any() or runs.sum() != width * height:
        raise InputError(f'{where}: the runs of its rle do not fill its box of {height} x {width} pixels')
    values = np.arange(len(runs), dtype=np.uint8) & 1
    canvas = np.zeros(size, np.uint8)
    canvas[top:top + height, left:left + width] = np.repeat(values, runs.astype(np.int64)).reshape(height, width)
    return mask_to_rle(canvas)
