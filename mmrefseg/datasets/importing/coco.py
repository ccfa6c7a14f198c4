"""COCO JSON, as COCO, CVAT, Roboflow, Label Studio, Datumaro and many others write it."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import read_json

from .annotation import (
    Annotation,
    Notes,
    Options,
    box_polygon,
    image_size_of,
    parse_numbers,
    parse_whole_numbers,
    split_in,
    words_at,
)
from .format_recognition import files_of

_EXPRESSION_PATHS = ('attributes.expression', 'attributes.caption', 'attributes.description', 'expression',
                     'expressions', 'caption', 'description', 'sentences', 'category')


def read_coco(source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    """Read the objects of COCO files, with what is said of each.

    Args:
        source: a file, or a folder of them, one per split.
        options: how they are read.
        notes: gets what is broken or skipped.
    """
    files = files_of(source, 'coco', '.json')
    for file in files:
        split = split_in(str(file.relative_to(source))) if source.is_dir() else ''
        yield from _read_file(file, split, options, notes)


def _read_file(file: Path, split: str, options: Options, notes: Notes) -> Iterator[Annotation]:
    content = read_json(file, mend='Export it again.')
    images = images_of(content, file)
    categories = _categories_of(content, file)
    seen = set()
    for index, element in enumerate(get_field(content, 'annotations', list, str(file))):
        where = f'{file}, annotations[{index}]'
        with notes.element():
            if not isinstance(element, dict):
                raise InputError(f'{where}: expected an object {{...}}, got one of type {type(element).__name__}')
            if str(element.get('id')) in seen:
                notes.counts['annotations repeat an id; they are kept as objects of their own'] += 1
            seen.add(str(element.get('id')))
            image = images.get(str(element.get('image_id')))
            if image is None:
                raise InputError(f'{where}: image_id {str(element.get("image_id"))[:40]!r} is none of the images')
            segmentation = outline_of(element, options, notes, where)
            if segmentation is None:
                continue
            with_category = {**element, 'category': categories.get(str(element.get('category_id')))}
            words = words_at(with_category, _EXPRESSION_PATHS, options, notes, where)
            yield Annotation(image[0], image[1], words, segmentation, where, split, options.in_shares)


def _categories_of(content: dict, file: Path) -> dict[str, Any]:
    """Names of the categories by their ids as text."""
    categories: dict[str, Any] = {}
    for entry in get_field({**content, 'categories': content.get('categories') or []}, 'categories', list, str(file)):
        if isinstance(entry, dict) and 'id' in entry:
            name, key = entry.get('name'), str(entry['id'])
            if categories.setdefault(key, name) != name:
                raise InputError(f'{file}: the category id {key[:40]} is that of {str(categories[key])[:40]!r} and of '
                                 f'{str(name)[:40]!r}, so that nobody can tell which one an annotation means. Give '
                                 'every category an id of its own.')
    return categories


def images_of(content: Any, file: Path) -> dict[str, tuple[str, tuple[int, int] | None]]:
    """The images of a COCO file by their ids as text: name, and height and width in pixels.

    Args:
        content: what the file holds.
        file: the file, for errors.

    Raises:
        InputError: an image has no id or name, or two share an id.
    """
    images: dict[str, tuple[str, tuple[int, int] | None]] = {}
    for index, element in enumerate(get_field(content, 'images', list, str(file))):
        where = f'{file}, images[{index}]'
        name = get_field(element, 'file_name', str, where)
        image = name, image_size_of(element.get('height'), element.get('width'), where)
        key = str(get_field(element, 'id', (int, str), where))
        if images.setdefault(key, image) != image:
            raise InputError(f'{where}: the id {key[:40]} is that of {images[key][0]}, too, so that nobody can tell '
                             'which one an annotation means. Give every image an id of its own.')
    return images


def outline_of(element: dict, options: Options, notes: Notes, where: str) -> Segmentation:
    """The mask of an annotation, its sloppy values mended; None if there is none.

    Args:
        element: the annotation.
        options: whether boxes are masks.
        notes: gets what was skipped.
        where: file and element, for errors.

    Raises:
        InputError: its outline is no polygons and no RLE.
    """
    outline = element.get('segmentation')
    if isinstance(outline, dict):
        return _rle(outline, where)
    polygons = outline or []
    if not isinstance(polygons, list):
        raise InputError(f'{where}: segmentation must be polygons or an RLE, got an object of type '
                         f'{type(outline).__name__}')
    if polygons and isinstance(polygons[0], int | float | str):  # one polygon outside of a list
        polygons = [polygons]
    if any(isinstance(part, dict) for part in polygons):
        if not all(isinstance(part, dict) for part in polygons):
            raise InputError(f'{where}: segmentation mixes polygons and RLEs. Write it as one RLE')
        return {'union': [_rle(part, where) for part in polygons]}
    polygons = [numbers for part in polygons if len(numbers := parse_numbers(part, f'{where}: segmentation')) >= 6]
    if polygons:
        return polygons
    box = parse_numbers(element.get('bbox') or [], f'{where}: bbox')
    if len(box) == 4 and min(box[2:]) > 0 and options.boxes:
        notes.counts['objects have a box alone; the box is their mask'] += 1
        return [box_polygon(*box)]
    notes.counts['objects have no outline, or a box alone; they are skipped (--boxes takes boxes as masks)'] += 1
    return None


def _rle(rle: dict, where: str) -> dict:
    size = parse_whole_numbers(rle.get('size') or [], f'{where}: size')
    counts = rle.get('counts')
    if isinstance(counts, list):
        counts = parse_whole_numbers(counts, f'{where}: counts')
    elif not isinstance(counts, str):
        raise InputError(f'{where}: counts of an RLE must be text or a list, got an object of type '
                         f'{type(counts).__name__}')
    return {'size': size, 'counts': counts}
