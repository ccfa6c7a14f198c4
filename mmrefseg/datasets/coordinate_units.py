"""Finding polygons whose coordinates are not pixels."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation

# Shares go a little beyond 1 by rounding, and no object that anybody refers to is a pixel in the image's corner.
_SHARE = 1.05
_PERCENT = 100
# Where every image is larger, and every outline of this many lies within 100 x 100 pixels, it is no chance.
_LARGE, _MANY = 200, 5
_SHARES = ('no coordinate is above 1, so that they seem to be shares of the image. They must be pixels: multiply x by '
           'the width and y by the height')


class CoordinateUnits:
    """Looks at the outlines of a data set, one after the other, for coordinates in shares of 1 or in percent.

    An outline within the first pixel of its image is refused: it would have one pixel at most. So is the data set if
    all its outlines, five or more, lie within the first 100 × 100 pixels of images that are larger than 200 × 200.

    """

    def __init__(self) -> None:
        self._number = 0
        self._may_be_percent = True

    def check(self, referent: Mapping, where: str) -> None:
        """Look at a referent's polygons, which may be in shares of the image instead of pixels.

        Args:
            referent: with its ``segmentation``, ``height`` and ``width``.
            where: what it is, for errors.

        Raises:
            InputError: its polygons are in shares of 1.
        """
        polygons = list(_polygons(referent['segmentation']))
        if not any(polygons):
            return
        if all(_is_within(polygon, _SHARE) for polygon in polygons):
            raise InputError(f'{where}: {_SHARES}')
        self._number += 1
        self._may_be_percent = (self._may_be_percent and min(referent['height'], referent['width']) > _LARGE
                                and all(_is_within(polygon, _PERCENT) for polygon in polygons))

    def check_all(self, where: str) -> None:
        """Look at what all referents have in common.

        Args:
            where: the data set, for errors.

        Raises:
            InputError: all polygons seem to be in percent.
        """
        if self._may_be_percent and self._number >= _MANY:
            raise InputError(f'{where}: no coordinate of its {self._number} outlines is above {_PERCENT}, though '
                             f'every image is larger than {_LARGE} x {_LARGE} pixels, so that they seem to be percent '
                             'of the image. They must be pixels: multiply x by the width and y by the height, and '
                             'divide by 100. If they are pixels, write the masks as RLE')


def check_box(box: list[float], where: str) -> None:
    """Refuse a box whose numbers are shares of the image instead of pixels.

    Args:
        box: x, y, width and height in pixels.
        where: what it is, for errors.

    Raises:
        InputError: it is in shares of 1.
    """
    if _is_within(box, _SHARE):
        raise InputError(f'{where}: {_SHARES}')


def _polygons(segmentation: Segmentation) -> Iterator[list]:
    """Flat lists of coordinates, of whatever is written as polygons."""
    if isinstance(segmentation, list):
        yield from (polygon for polygon in segmentation if isinstance(polygon, list))
    elif isinstance(segmentation, dict) and 'union' in segmentation:
        yield from chain.from_iterable(map(_polygons, segmentation['union']))
    elif isinstance(segmentation, dict) and 'instances' in segmentation:
        for polygon in chain.from_iterable(segmentation['instances']):
            yield polygon if polygon and not isinstance(polygon[0], list) else list(chain.from_iterable(polygon))


def _is_within(numbers: list, limit: float) -> bool:
    return all(-0.05 * limit <= number <= limit for number in numbers)
