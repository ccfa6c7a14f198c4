"""From annotations to lines: masks are drawn on their images, and objects of which the same is said are united."""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation, draw_mask, mask_to_rle
from mmrefseg.utils.files import MAX_IMAGE_BYTES, open_regular
from mmrefseg.utils.image_header import ImageHeader, read_image_header, read_image_size

from ..coordinate_units import CoordinateUnits
from .annotation import Annotation, Notes
from .image_files import ImageFinder, ImageNotThereError

_NO_WORDS = 'objects have no expression; they are skipped'
_NO_PIXELS = 'outlines have no pixel inside of their image; they are skipped'
_FURTHER = 'further objects are on images that are missing or broken; they are skipped'
_BY_SIZE = 'objects were drawn on photos as they are stored, not upright (told by their size)'
_UNSURE = ('objects are on photos with an EXIF orientation, and sizes do not tell whether they were drawn on the '
           'stored or on the upright picture: the {} one is taken; look at them, and import with{} --stored if wrong')
_UNITED = 'expressions are said of several objects of their image; these are united (--keep-apart keeps them apart)'


class Drawn(NamedTuple):
    """An annotation that fits its image.

    Args:
        path: the image's file.
        name: its name below the folder of images.
        size: height and width of the mask in pixels.
        ignore_orientation: whether the mask is one of the stored picture.
        expressions: what is said.
        mask: polygons or an RLE; None if nothing is referred to.
        split: the source's; may be empty.
        where: file and element.
    """

    path: Path
    name: str
    size: tuple[int, int]
    ignore_orientation: bool
    expressions: tuple[str, ...]
    mask: list | dict | None
    split: str
    where: str


def draw_all(annotations: Iterable[Annotation], finder: ImageFinder, notes: Notes, stored: bool,
             source: str) -> list[Drawn]:
    """Find the images of annotations and draw their masks.

    Args:
        annotations: as readers give them.
        finder: finds the images.
        notes: gets what is broken or skipped.
        stored: whether masks are those of stored pictures, where sizes don't tell.
        source: what is read, for errors.

    Raises:
        InputError: all coordinates seem to be shares or percent, or none of several images is there.
    """
    header_of, scales = lru_cache(None)(_header), CoordinateUnits()
    drawn, in_shares = [], []
    named: set[str] = set()
    unusable: set[str] = set()
    missing: list[str] = []
    for annotation in annotations:
        if not annotation.expressions:
            notes.counts[_NO_WORDS] += 1
            continue
        if annotation.image in unusable:  # one message per image is enough
            notes.counts[_FURTHER] += 1
            continue
        with notes.element():
            try:
                named.add(annotation.image)
                unusable.add(annotation.image)
                path, name = _find(annotation.image, finder, missing)
                header = header_of(path)
                unusable.remove(annotation.image)
                found, has_pixels = _draw(annotation, path, name, header, finder, notes, stored)
            except InputError as error:
                text = str(error)
                raise InputError(text if text.startswith(annotation.where) else
                                 f'{annotation.where}: {text}') from error
            try:
                scales.check({'segmentation': found.mask, 'height': found.size[0], 'width': found.size[1]},
                             annotation.where)
            except InputError as error:
                in_shares.append(str(error))
                continue
            if has_pixels:
                drawn.append(found)
            else:
                notes.counts[_NO_PIXELS] += 1
    if len(missing) == len(named) > 1:
        raise InputError(f'{source} names {len(named)} images, such as {missing[0][:200]!r}, but none of them is in '
                         f'{finder.roots[0]}. Name with --images the folder that holds them; some tools export '
                         'annotations without the images')
    if in_shares and not drawn:
        raise InputError(f'{in_shares[0]}. Let the import do so with --in-shares')
    notes.broken.extend(in_shares)
    scales.check_all(source)
    return drawn


def _find(image: str, finder: ImageFinder, missing: list[str]) -> tuple[Path, str]:
    """The file of an image, and its name; what isn't there is noted."""
    try:
        return finder.find(image)
    except ImageNotThereError:
        missing.append(image)
        raise


def _header(path: Path) -> ImageHeader:
    with open_regular(path, MAX_IMAGE_BYTES) as file:
        try:
            return read_image_header(file)
        except InputError as error:
            raise InputError(f'the image {path}: {error}') from error


def _draw(annotation: Annotation, path: Path, name: str, header: ImageHeader, finder: ImageFinder, notes: Notes,
          stored: bool) -> tuple[Drawn, bool]:
    """The annotation on its image, and whether it is as it should be: with a pixel, or about nothing."""
    segmentation = _with_files(annotation.segmentation, finder)
    size, is_stored = _fit(annotation.size or _size_in(segmentation), header, notes, stored)
    if annotation.in_shares and isinstance(segmentation, list):
        segmentation = [[number * size[1 - index % 2] for index, number in enumerate(polygon)]
                        for polygon in segmentation]
    pixels = draw_mask(segmentation, *size)
    mask = segmentation if segmentation is None or isinstance(segmentation, list) else mask_to_rle(pixels)
    drawn = Drawn(path, name, size, is_stored, annotation.expressions, mask, annotation.split, annotation.where)
    return drawn, segmentation is None or bool(pixels.any())


def _with_files(segmentation: Segmentation, finder: ImageFinder) -> Segmentation:
    if isinstance(segmentation, dict) and 'file' in segmentation:
        return {'file': str(finder.find(segmentation['file'], is_mask=True)[0])}
    return segmentation


def _size_in(segmentation: Segmentation) -> tuple[int, int] | None:
    """The size that a mask has itself."""
    if isinstance(segmentation, dict) and 'file' in segmentation:
        return read_image_size(segmentation['file'], True)
    if isinstance(segmentation, dict) and len(segmentation.get('size', ())) == 2:
        return tuple(segmentation['size'])
    return None


def _fit(size: tuple[int, int] | None, header: ImageHeader, notes: Notes, stored: bool) -> tuple[tuple[int, int], bool]:
    """Size of the mask, and whether it is one of the stored picture."""
    as_stored, upright = (header.height, header.width), header.upright_size
    if size not in (None, as_stored, upright):
        raise InputError(f'it was made on a picture of {size} (H, W), but the image is {as_stored}. Name with --images '
                         'the pictures that were annotated')
    if header.orientation == 1:
        return as_stored, False
    if size is not None and as_stored != upright:
        if size == as_stored:
            notes.counts[_BY_SIZE] += 1
        return size, size == as_stored
    notes.counts[_UNSURE.format('stored' if stored else 'upright', 'out' if stored else '')] += 1
    return (as_stored if stored else upright), stored


def lines_of_image(elements: Sequence[Drawn], keep_apart: bool, notes: Notes) -> list[dict]:
    """The lines of one image, without its name.

    Args:
        elements: all that is said of the image.
        keep_apart: whether objects of which the same is said become lines of their own.
        notes: gets what was united, and expressions that refer to something and to nothing.
    """
    of_words: dict[tuple, dict[int, None]] = defaultdict(dict)  # a set in order
    for index, element in zip(_same_objects(elements), elements, strict=True):
        for words in element.expressions:
            apart = index if keep_apart else 0
            of_words[words, element.size, element.ignore_orientation, apart][index] = None
    words_of: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for (words, *_), indices in of_words.items():
        masks = [index for index in indices if elements[index].mask is not None]
        if len(masks) < len(indices) and masks:
            notes.counts['expressions refer both to something and to nothing in their image; they are skipped'] += 1
            continue
        if len(indices) > 1 and masks:
            notes.counts[_UNITED] += 1
        words_of[tuple(indices)].append(words)
    return [_line([elements[index] for index in indices], words) for indices, words in words_of.items()]


def _same_objects(elements: Sequence[Drawn]) -> list[int]:
    """For each element the first with the same mask: tables have a row per expression, not per object."""
    first: dict[tuple, int] = {}
    return [index if element.mask is None else
            first.setdefault((json.dumps(element.mask), element.size, element.ignore_orientation), index)
            for index, element in enumerate(elements)]


def _line(objects: Sequence[Drawn], words: list[str]) -> dict:
    first = objects[0]
    masks = [element.mask for element in objects]
    mask = masks[0]
    if len(masks) > 1 and mask is not None:
        mask = mask_to_rle(draw_mask({'union': masks}, *first.size))
    line = {'expressions': words, 'mask': mask, 'height': first.size[0], 'width': first.size[1], 'origin': first.where}
    return {**line, 'ignore_orientation': True} if first.ignore_orientation else line
