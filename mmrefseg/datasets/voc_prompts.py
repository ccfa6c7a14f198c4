"""PASCAL VOC's instances, asked for by made-up prompts."""
from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from mmrefseg.errors import InputError, MissingInputError, UserError
from mmrefseg.registry import DATASETS
from mmrefseg.structures.mask_formats import mask_to_rle
from mmrefseg.utils.files import MAX_IMAGE_BYTES, MAX_JSON_BYTES, read_regular
from mmrefseg.utils.image_header import PILLOW_ERRORS, header_of

from .instance_prompts import Instance, InstancePromptDataset

VOC_CATEGORIES = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'dining table',
                  'dog', 'horse', 'motorbike', 'person', 'potted plant', 'sheep', 'sofa', 'train', 'tv monitor')
_BACKGROUND, _VOID = 0, 255
# Not trainval, whose images are those of train and val.
_SPLITS = ('train', 'val', 'test')
_NAME = re.compile('[0-9]{4}_[0-9]{6}')


@DATASETS.register_module()
class VOCPromptDataset(InstancePromptDataset):
    """PASCAL VOC's segmented instances (http://host.robots.ox.ac.uk/pascal/VOC) with prompts from category, size and
    place::

        data_root/                                (VOCdevkit/VOC2012)
        ├── ImageSets/Segmentation/<split>.txt    names of images
        ├── JPEGImages/<name>.jpg
        ├── SegmentationClass/<name>.png          number of the category for each pixel
        └── SegmentationObject/<name>.png         number of the object for each pixel

    In both PNGs 0 is background and 255 void, which belongs to no mask. An object's category is that of most of its
    pixels. The prompts are those of :func:`~mmrefseg.datasets.instance_prompts.make_prompt`.

    ``image_id`` is the name without its line (2007000032), ``ann_id`` and ``ref_id`` are that with the object's number
    in three more digits, ``category_id`` goes from 1 (aeroplane) to 20 (tv monitor).

    Args:
        data_root: folder of the data set.
        split: ``'train'`` or ``'val'``. Default ``'val'``.
        data_prefix: as in :class:`BaseReferringDataset`. Default None, ``JPEGImages``.
        **kwargs: ``unit``, ``pipeline`` and more of :class:`BaseReferringDataset`.

    Raises:
        MissingInputError: a folder or file is missing.
        InputError: a file doesn't hold what it should.
    """

    def __init__(self, data_root: str, split: str = 'val', data_prefix: dict[str, str] | None = None, **kwargs) -> None:
        super().__init__(data_root, split, data_prefix=data_prefix or {'img_path': 'JPEGImages'}, **kwargs)

    def load_instances(self) -> list[Instance]:
        """Read the PNGs of the split."""
        folders = [Path(self.data_root, name) for name in ('SegmentationClass', 'SegmentationObject')]
        for needed in (self._file(self.split), Path(self.data_prefix['img_path']), *folders):
            if not needed.exists():
                raise MissingInputError(
                    f'{needed} is missing. data_root must be the folder VOCdevkit/VOC2012 with ImageSets/Segmentation, '
                    'JPEGImages, SegmentationClass and SegmentationObject. Set data_root, or get the files from '
                    'http://host.robots.ox.ac.uk/pascal/VOC/voc2012.')
        return list(chain.from_iterable(self.parse_each(self._names(self.split), self._instances)))

    def image_key(self, referent: Mapping) -> str:
        """The image's name across data sets: its name in VOC."""
        return f'voc/{Path(referent["img_path"]).stem}'

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of those splits whose files are there."""
        return {split: {f'voc/{name}' for name in self._names(split)}
                for split in _SPLITS if self._file(split).is_file()}

    def _file(self, split: str) -> Path:
        return Path(self.data_root, 'ImageSets', 'Segmentation', f'{split}.txt')

    def _names(self, split: str) -> list[str]:
        path = self._file(split)
        names = list(dict.fromkeys(read_regular(path, MAX_JSON_BYTES).decode('utf-8-sig', 'replace').split()))
        for name in names:
            if not _NAME.fullmatch(name):
                raise InputError(f'{path} must hold names such as 2007_000032, one per line, but holds {name[:40]!r}.')
        return names

    def _instances(self, name: str) -> list[Instance]:
        """All instances of an image."""
        of_class, of_object = (Path(self.data_root, folder, f'{name}.png')
                               for folder in ('SegmentationClass', 'SegmentationObject'))
        classes, objects = _read_labels(of_class), _read_labels(of_object)
        if classes.shape != objects.shape:
            raise InputError(f'{of_object} is {objects.shape} (H, W), but {of_class} {classes.shape}. Get both again.')
        image_id = int(name.replace('_', ''))
        height, width = objects.shape
        instances = []
        for number in sorted({*np.unique(objects).tolist()} - {_BACKGROUND, _VOID}):
            mask = objects == number
            votes = np.bincount(classes[mask], minlength=256)[1:len(VOC_CATEGORIES) + 1]
            if not votes.any():
                raise InputError(f'{of_object}: object {number} has no pixel of a category in {of_class}. Get both '
                                 'again.')
            category_id = int(votes.argmax()) + 1
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            ref_id = 1000 * image_id + number
            instances.append(Instance(
                category=VOC_CATEGORIES[category_id - 1],
                x=float(columns[0] + columns[-1] + 1) / 2 / width,
                y=float(rows[0] + rows[-1] + 1) / 2 / height,
                size=float(mask.mean()),
                crowd=False,
                referent={
                    'img_path': str(Path(self.data_prefix['img_path'], f'{name}.jpg')),
                    'height': height,
                    'width': width,
                    'segmentation': mask_to_rle(mask),
                    'image_id': image_id,
                    'ref_id': ref_id,
                    'ann_id': ref_id,
                    'category_id': category_id,
                }))
        return instances


def _read_labels(path: Path) -> np.ndarray:
    """The numbers in an image of a palette, or of one channel; (H, W), uint8."""
    try:
        content = read_regular(path, MAX_IMAGE_BYTES)
        mode = header_of(content).mode
        if mode not in ('P', 'L'):
            raise InputError(f'its mode is {mode}, not that of a palette')
        with Image.open(BytesIO(content), formats=['PNG']) as image:
            return np.asarray(image)
    except (UserError, *PILLOW_ERRORS) as error:
        raise InputError(f'{path} is missing, damaged or no PNG of a palette, as VOC has it ({error}). Get it '
                         'again.') from error
