"""Answers as COCO's annotations, which CVAT, FiftyOne and others import."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pycocotools import mask as mask_utils

from mmrefseg.structures.mask_formats import rle_area
from mmrefseg.utils.field_checks import get_field

CATEGORY = dict(id=1, name='referent', supercategory='')
"""Of every annotation; what was asked stands in its attributes."""


def coco_of(answers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """COCO's JSON of answers; those without a pixel have no annotation.

    Args:
        answers: lines of predictions, with ``file_name``, ``expression``, ``score`` and ``segmentation`` (an RLE).

    Returns:
        ``images``, ``categories`` and ``annotations``; masks are RLEs, with ``iscrowd`` 1, as COCO marks them.

    Raises:
        InputError: an answer has no RLE, or a damaged one.
    """
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for answer in answers:
        # An answer may come from a shard that others wrote, and pycocotools checks nothing.
        code = get_field(answer, 'segmentation', dict, 'an answer')
        get_field(code, 'counts', str, 'the segmentation of an answer')
        area = rle_area(code)
        height, width = code['size']
        image = images.setdefault(answer['file_name'], dict(
            id=len(images) + 1, file_name=answer['file_name'], height=height, width=width))
        if area:
            annotations.append(dict(
                id=len(annotations) + 1, image_id=image['id'], category_id=CATEGORY['id'], segmentation=code, area=area,
                bbox=mask_utils.toBbox(code).tolist(), iscrowd=1,
                attributes=dict(expression=answer['expression'], score=answer['score'])))
    return dict(images=list(images.values()), categories=[CATEGORY], annotations=annotations)
