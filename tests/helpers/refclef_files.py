"""A few images in RefCLEF's files, written for tests."""
from pathlib import Path

from .refcoco_files import tiny_refcoco, write_refcoco


def tiny_refclef() -> dict:
    """:func:`tiny_refcoco` as RefCLEF has it: images in folders, ids of annotations as strings, lists of RLEs.

    Annotation ``1_1`` has two RLEs, which cover the first and the last column of image 1; ``2_1`` has one, and ``3_1``
    and ``3_2`` have polygons and a single RLE as in RefCOCO. Ref 0 is of split ``train``, 1 of ``val``, 2 of ``testA``,
    3 of ``testAB``.

    Returns:
        ``images`` and ``annotations`` of ``instances.json``, and ``refs``; for :func:`write_refcoco`.
    """
    content = tiny_refcoco()
    names = ('00/images/1.jpg', '00/images/2.jpg', '01/images/3.jpg')
    ids = ('1_1', '2_1', '3_1', '3_2')
    for image, name in zip(content['images'], names, strict=True):
        image['file_name'] = name
    for annotation, ref, ann_id, split in zip(
            content['annotations'], content['refs'], ids, ('train', 'val', 'testA', 'testAB'), strict=True):
        annotation['id'] = ref['ann_id'] = ann_id
        ref['split'] = split
    first, second = content['annotations'][:2]
    first['segmentation'] = [{'size': [24, 32], 'counts': [0, 24, 744]}, {'size': [24, 32], 'counts': [744, 24]}]
    second['segmentation'] = [second['segmentation']]
    return content


def write_refclef(root: str | Path, split_by: str = 'unc') -> Path:
    """Write the files of :func:`tiny_refclef`, with noise for images, into a folder; returns it."""
    return write_refcoco(root, tiny_refclef(), split_by)
