"""gRefCOCO: expressions that refer to several objects, to one or to none."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import read_json

from .instances_file import InstancesFile
from .refcoco import RefCOCODataset

NO_TARGET = [-1]
_FIELDS = {'split', 'ref_id', 'image_id', 'ann_id', 'sentences', 'sent_id', 'sent', 'kind'}


@DATASETS.register_module()
class GRefCOCODataset(RefCOCODataset):
    """gRefCOCO (https://arxiv.org/abs/2306.00968), in RefCOCO's layout but for the refs::

        data_root/
        ├── images/                images (COCO train2014), under the names that instances.json gives
        ├── instances.json         images and annotations in COCO's schema, polygons or RLE
        └── grefs(<split_by>).json refs as in RefCOCO, but for ``ann_id``

    A ref's ``ann_id`` is one id or a list of ids, of which ``[-1]`` stands for no target. The mask of a ref is the
    union of its annotations, those of crowds left out.

    Samples also have ``ann_ids`` (list[int]), empty without a target. Their ``ann_id`` is the only one of these, and
    their ``category_id`` the one that all share; each is -1 where there is none. ``segmentation`` is None without a
    target.

    Args:
        data_root: folder of the data set.
        split_by: whose splits. Default ``'unc'``, the only ones there are.
        split: ``'train'``, ``'val'``, ``'testA'`` or ``'testB'``. Default ``'train'``.
        **kwargs: ``image_source`` of :class:`RefCOCODataset`; ``unit``, ``data_prefix``, ``pipeline`` and more of
            :class:`BaseReferringDataset`.
        image_source: as in :class:`RefCOCODataset`. Default ``'coco'``.

    Raises:
        MissingInputError: a folder or file is missing.
        InputError: as :class:`RefCOCODataset`, or if a ref names no annotation or nothing but crowds.
    """

    REFS_FILE = 'grefs({split_by}).json'
    SOURCE = 'https://github.com/henghuiding/gRefCOCO'

    def _read_refs(self, path: Path) -> Any:
        return read_json(path, _needed)

    def _ann_ids(self, ref: dict) -> list:
        ann_id = ref.get('ann_id')
        return ann_id if isinstance(ann_id, list) else [ann_id]

    def _target(self, ref: dict, image_id: int, instances: InstancesFile, where: str) -> dict:
        get_field(ref, 'ann_id', (int, list), where)
        ids = self._ann_ids(ref)
        if ids == NO_TARGET:
            return {'segmentation': None, 'ann_id': -1, 'ann_ids': [], 'category_id': -1}
        annotations = [instances.annotation(get_field({'ann_id': ann_id}, 'ann_id', int, where), image_id, where)
                       for ann_id in ids]
        outlines = [instances.outline(annotation) for annotation in annotations
                    if not annotation.get('iscrowd')]
        if not outlines:
            raise InputError(f"{where}: 'ann_id' names no annotation but those of crowds. It must name at least one "
                             'object, or be [-1] where the expression refers to nothing.')
        categories = [instances.field(annotation, 'category_id', int) for annotation in annotations]
        return {
            'segmentation': {'union': outlines} if len(outlines) > 1 else outlines[0],
            'ann_id': _only(ids),
            'ann_ids': ids,
            'category_id': categories[0] if categories.count(categories[0]) == len(categories) else -1,
        }


def _needed(element: dict) -> dict:
    # Tokens and the like would take hundreds of megabytes until the file is parsed.
    return {key: value for key, value in element.items() if key in _FIELDS}


def _only(values: list[int]) -> int:
    return values[0] if len(values) == 1 else -1
