"""RefCLEF (ReferIt): expressions about regions of SAIAPR TC-12 images."""
from __future__ import annotations

import re

from mmrefseg.registry import DATASETS

from .refcoco import RefCOCODataset


@DATASETS.register_module()
class RefCLEFDataset(RefCOCODataset):
    """RefCLEF (https://aclanthology.org/D14-1086), in RefCOCO's files, as https://github.com/lichengunc/refer has it::

        data_root/
        ├── images/             folder ``saiapr_tc-12``; instances.json gives names such as ``00/images/25.jpg``
        ├── instances.json      images and annotations in COCO's schema; an outline is a list of RLEs
        └── refs(<split_by>).p  refs with their sentences and splits

    The mask of a region is the union of its RLEs. A ref of split ``testAB`` belongs to ``testA`` and to ``testB``,
    and so on. Ids of annotations are strings in these files (numbers are taken, too), and so is ``ann_id`` in samples.

    Args:
        data_root: folder of the data set.
        split_by: whose splits: ``'unc'`` or ``'berkeley'``. Default ``'unc'``.
        split: ``'train'``, ``'val'``, ``'testA'``, ``'testB'``, ``'testC'`` (unc) or ``'test'`` (berkeley). Default
            ``'train'``.
        image_source: as in :class:`RefCOCODataset`. Default ``'saiapr'``.
        **kwargs: ``unit``, ``data_prefix``, ``pipeline`` and more of :class:`BaseReferringDataset`.

    Raises:
        MissingInputError: a folder or file is missing.
        InputError: as :class:`RefCOCODataset`.
    """

    ANN_ID_TYPE = (int, str)

    def __init__(self,
                 data_root: str,
                 split_by: str = 'unc',
                 split: str = 'train',
                 image_source: str | None = 'saiapr',
                 **kwargs) -> None:
        super().__init__(data_root, split_by, split, image_source, **kwargs)

    def _splits(self, ref: dict) -> list[str]:
        several = re.fullmatch('test([ABC]{2,3})', ref['split'])
        return [f'test{letter}' for letter in several[1]] if several else [ref['split']]

    def _united(self, outline: list | dict) -> list | dict:
        is_union = isinstance(outline, list) and outline and all(isinstance(part, dict) for part in outline)
        return {'union': outline} if is_union else outline
