"""Masks in the formats of annotation files: drawn from polygons, RLE and outlines of instances, and back to RLE."""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as mask_utils

from mmrefseg.errors import InputError
from mmrefseg.utils.image_header import check_pixels

from .mask_files import file_to_mask

Segmentation = None | list | dict
"""What :func:`draw_mask` draws."""

# COCO's RLE string: groups of 5 bits, of which all but the last of a number carry a sixth. A string that ends inside
# a number would send pycocotools beyond its end.
_RLE_STRING = re.compile('[0-o]*[0-O]')


# A few numbers can be an outline that runs up and down an image a thousand times, for which pycocotools takes gigabytes
# (and ends the process where there are none), and Pillow minutes.
_LONGEST_OUTLINE = 1 << 22
_MOST_CROSSINGS = 1 << 26
_AT_ONCE = 16
# Pixels that the parts of a union have together: each may be a few bytes that fill the image.
_MOST_UNITED = 1 << 32


def draw_mask(segmentation: Segmentation, height: int, width: int) -> np.ndarray:
    """Draw a mask, whatever its form.

    Args:
        segmentation: one of

            - None: no pixel (the expression refers to nothing);
            - a list: COCO polygons, see :func:`polygons_to_mask`;
            - ``{'size': [H, W], 'counts': ...}``: a COCO RLE, see :func:`rle_to_mask`;
            - ``{'file': path}``: an image file, see :func:`~mmrefseg.structures.mask_files.file_to_mask`;
            - ``{'instances': [...]}``: PhraseCut's outlines, see :func:`instances_to_mask`;
            - ``{'union': [...]}``: any of those above, united.
        height: height of the mask in pixels.
        width: width of the mask in pixels.

    Returns:
        (H, W), uint8, 1 inside.

    Raises:
        InputError: it has none of these forms, does not fit the size, is damaged, or takes more than a sensible outline
            or image does.
    """
    check_pixels(height, width)
    if segmentation is None:
        return np.zeros((height, width), np.uint8)
    if isinstance(segmentation, list | tuple):
        return polygons_to_mask(segmentation, height, width)
    if not isinstance(segmentation, dict):
        raise InputError(f'it must be polygons, an RLE or a file, got an object of type {type(segmentation).__name__}')
    if 'counts' in segmentation:
        return rle_to_mask(segmentation, height, width)
    if 'file' in segmentation:
        return file_to_mask(segmentation['file'], height, width)
    if 'instances' in segmentation:
        return instances_to_mask(segmentation['instances'], height, width)
    mask = np.zeros((height, width), np.uint8)
    parts = _parts(segmentation)
    if len(parts) * height * width > _MOST_UNITED:
        raise InputError(f'it unites {len(parts)} masks of {(height, width)} (H, W), too many to draw')
    for part in parts:
        mask |= draw_mask(part, height, width)
    return mask


def _parts(segmentation: dict) -> list | tuple:
    if 'union' not in segmentation:
        raise InputError('it is a dictionary with none of the keys counts, file, instances and union')
    parts = segmentation['union']
    if not isinstance(parts, list | tuple) or any(isinstance(part, dict) and 'union' in part for part in parts):
        raise InputError("its 'union' must be a list of polygons, RLEs, files or instances, and of no further unions")
    return parts


def mask_to_rle(mask: np.ndarray) -> dict:
    """Encode a mask as COCO's compressed RLE, as JSON can hold it.

    Args:
        mask: (H, W), every value but 0 is inside.

    Returns:
        ``size`` [H, W] and ``counts`` (str).
    """
    code = mask_utils.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return {'size': code['size'], 'counts': code['counts'].decode('ascii')}


def instances_to_mask(instances: Sequence[Sequence[Sequence[Sequence[float]]]], height: int, width: int) -> np.ndarray:
    """Draw the outlines of instances as PhraseCut (https://arxiv.org/abs/2008.01187) evaluates them.

    Every outline is filled, its edge included, at coordinates cut down to whole pixels; this differs from COCO's way.
    One of two points is a line, one of a single point nothing, and what lies outside of the image is cut off. What an
    outline encloses twice is outside, its edge aside.

    Args:
        instances: instances, each a list of polygons, each a list of points ``[x, y]`` in pixels, or of x and y in
            turn.
        height: height of the mask in pixels.
        width: width of the mask in pixels.

    Returns:
        (H, W), uint8, 1 inside.

    Raises:
        InputError: a polygon is not a list of points, a coordinate is not between -32768 and 32768, or there are too
            many points for an image so high.
    """
    canvas = Image.new('L', (width, height))
    draw, number = ImageDraw.Draw(canvas), 0
    for polygon in _outlines(instances):
        points = _numbers(polygon)
        flat = points.ndim == 1 and len(points) % 2 == 0
        if not (flat or points.shape[1:] == (2, )) or not np.abs(points).max(initial=0) <= 2**15:
            raise InputError('a polygon must be a list of [x, y] in pixels, between -32768 and 32768')
        number += points.size
        if number * height > 2 * _MOST_CROSSINGS:
            raise InputError(f'its polygons have more points than can be drawn on an image of {(height, width)} (H, W)')
        if points.size >= 4:
            draw.polygon(points.astype(np.int64).ravel().tolist(), outline=1, fill=1)
    return np.array(canvas)


def _outlines(instances: Sequence[Sequence]) -> Iterator[Sequence]:
    for polygons in _sequence(instances, 'instances'):
        yield from _sequence(polygons, 'an instance')


def _sequence(value: Sequence, what: str) -> Sequence:
    if not isinstance(value, list | tuple):
        raise InputError(f'{what} must be a list of polygons, got an object of type {type(value).__name__}')
    return value


def polygons_to_mask(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    """Unite COCO polygons into one mask.

    What lies outside of the image is cut off. Inside a polygon that crosses itself the even-odd rule holds: what it
    encloses twice is outside.

    Args:
        polygons: ``[x1, y1, x2, y2, ...]`` each; those of fewer than three points are skipped.
        height: height of the mask in pixels.
        width: width of the mask in pixels.

    Returns:
        (H, W), uint8, 1 inside.

    Raises:
        InputError: no polygon has three points, a coordinate is missing, NaN or far from the image, or outlines are
            longer than 4,000,000 pixels in all.
    """
    outlines = [outline for outline in map(_numbers, polygons) if outline.size >= 6]
    if not outlines:
        raise InputError(f'none of its {len(polygons)} polygons has three points or more')
    for outline in outlines:
        if outline.ndim != 1 or len(outline) % 2 or not _is_near(outline, height, width):
            raise InputError(f'a polygon must be a flat list of x, y pairs near the image of {(height, width)} (H, W)')
    if sum(map(_length, outlines)) > _LONGEST_OUTLINE:
        raise InputError(f'its polygons are more than {_LONGEST_OUTLINE} pixels long, as no outline is')
    codes = mask_utils.frPyObjects(outlines, height, width)
    while len(codes) > 1:  # of a hundred thousand, one after the other would take minutes
        codes = [mask_utils.merge(codes[start:start + _AT_ONCE]) for start in range(0, len(codes), _AT_ONCE)]
    runs = _runs_of(codes[0]['counts'])
    _check_runs(runs, height, width)
    return _fill(runs, height, width)


def rle_to_mask(rle: dict, height: int, width: int) -> np.ndarray:
    """Draw a mask from a COCO RLE.

    Args:
        rle: ``size`` [H, W] and ``counts``, a list of run lengths or COCO's compressed string.
        height: height of the mask in pixels.
        width: width of the mask in pixels.

    Returns:
        (H, W), uint8, 1 inside.

    Raises:
        InputError: the size differs, or the counts are damaged.
    """
    return _fill(_checked_runs(rle, height, width), height, width)


def rle_area(rle: dict) -> int:
    """Pixels inside of a COCO RLE, which is checked, so that pycocotools can be trusted with it.

    Args:
        rle: as :func:`rle_to_mask` takes it.

    Raises:
        InputError: it has no size, or the counts are damaged.
    """
    size = rle.get('size')
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(side) is int for side in size):
        raise InputError(f'its RLE must have a size of [height, width], got {str(size)[:200]}')
    check_pixels(*size)
    return int(_checked_runs(rle, *size)[1::2].sum())


def _checked_runs(rle: dict, height: int, width: int) -> np.ndarray:
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, list | tuple) or list(size) != [height, width] or _has_truth_values(size):
        raise InputError(f'its RLE must have the size [{height}, {width}] of the image, got {str(size)[:200]}')
    if isinstance(counts, list | tuple):
        runs = _numbers(counts)
        if runs.ndim != 1 or (runs != np.floor(runs)).any():
            raise InputError("the 'counts' of its RLE must be whole numbers")
    elif isinstance(counts, str) and _RLE_STRING.fullmatch(counts):
        runs = _runs_of(counts.encode())
    else:
        raise InputError("the 'counts' of its RLE must be a list of run lengths or COCO's compressed string")
    _check_runs(runs, height, width)
    return runs


def _numbers(values: Sequence) -> np.ndarray:
    """Numbers that a file holds, float64, in whatever shape; NumPy alone would also take strings and truth values."""
    try:
        numbers = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f'it must hold numbers alone: {error}') from error
    if numbers.dtype.kind not in 'iuf' or _has_truth_values(values):
        raise InputError('it must hold numbers alone, and none that is endless; it holds something else')
    return numbers.astype(np.float64)


def _has_truth_values(values: Sequence) -> bool:
    """Whether a truth value stands among numbers, for one of which NumPy takes it."""
    if not isinstance(values, list | tuple):
        return False
    kinds = set(map(type, values))
    return not kinds.isdisjoint((bool, np.bool_)) or (
        not kinds.isdisjoint((list, tuple)) and any(map(_has_truth_values, values)))


def _runs_of(counts: bytes) -> np.ndarray:
    """The runs of COCO's compressed string, (N,); decoding is four times as fast as pycocotools' with :func:`_fill`."""
    codes = np.frombuffer(counts, np.uint8) - 48
    ends = np.flatnonzero(codes < 32)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if not len(ends) or lengths.max() >= 8:
        return np.full(1, -1)
    # The lowest bits come first; the highest bit of a number is its sign.
    digits = (codes & 31).astype(np.int64) << 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    runs = np.add.reduceat(digits, starts) - ((codes[ends] & 16).astype(np.int64) << 1 + 5 * (lengths - 1))
    # From the fourth on, a run is the difference to the one before the last.
    runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()
    return runs


def _check_runs(runs: np.ndarray, height: int, width: int) -> None:
    # Each run is bounded first: the sum of huge ones would wrap around and look right.
    if not (runs.size and runs.min() >= 0 and runs.max() <= height * width and runs.sum() == height * width):
        raise InputError(f'the runs of its RLE do not fill the image of {(height, width)} (H, W)')


def _fill(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W), uint8, from (N,) lengths of runs of 0 and 1 in turn, down the columns."""
    pixels = np.repeat(np.arange(len(runs), dtype=np.uint8) & 1, runs.astype(np.int64))
    # OpenCV turns columns into rows ten times as fast as NumPy.
    return cv2.transpose(pixels.reshape(width, height))


def _length(outline: np.ndarray) -> float:
    """Along the longer of the two directions of each edge, in pixels, of (2 * N,) coordinates."""
    return float(np.abs(np.diff(outline.reshape(-1, 2), axis=0, append=outline[None, :2])).max(axis=1).sum())


def _is_near(coordinates: np.ndarray, height: int, width: int) -> bool:
    """Whether every coordinate lies near the image; along far edges drawing would cost time and memory without end."""
    return bool(np.abs(coordinates).max(initial=0) <= 4 * max(height, width))
