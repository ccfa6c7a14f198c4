"""PhraseCut, and whatever is written in its format."""
from __future__ import annotations

import logging
import os
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from math import trunc
from typing import NamedTuple

from mmengine.logging import print_log

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import get_field, key_of
from mmrefseg.utils.files import read_json

from .base_referring_dataset import BaseReferringDataset
from .json_list import iterate_json_list

PHRASECUT_SPLITS = ('train', 'val', 'test', 'miniv')
PHRASECUT_SOURCE = 'https://github.com/ChenyunWu/PhraseCutDataset'


class _Image(NamedTuple):
    width: int
    height: int
    coco_id: int | None
    split: str


@DATASETS.register_module()
class PhraseCutDataset(BaseReferringDataset):
    """A data set in the files of VGPhraseCut v0 (https://arxiv.org/abs/2008.01187)::

        data_root/
        ├── images/                  <image_id>.jpg, images of Visual Genome
        ├── image_data_split.json    size, split and COCO id of every image
        └── refer_<split>.json       phrases with the outlines of the instances that they refer to

    A phrase is a referent with one expression; ``ref_id``, ``ann_id`` and ``sent_id`` all are its index in the split,
    ``kind`` is the ``type`` of its structure (``name``, ``attribute``, ``relation`` or ``verbose``: what tells the
    referent from others), and ``category_id`` is -1. It also has ``task_id`` (str), ``phrase_structure`` (dict with
    ``name``, ``attributes``, ``relation_descriptions``, ``type``, and ``relation_ids`` where the file has them),
    ``instance_boxes`` (a list of [x, y, w, h] in pixels) and ``coco_id`` (int, or None where the image is not of COCO).

    Outlines are cut down to whole pixels, and drawn, as the official evaluation does: one of a single point is nothing,
    one of two points a line, and what lies outside of the image is cut off. Phrases that are left without an outline
    on their image keep an empty mask, and a warning names them.

    Args:
        data_root: folder of the data set.
        split: ``'train'``, ``'val'``, ``'test'`` or ``'miniv'``, or several, joined by ``_``. The file of ``'val'``
            does not hold the 100 images of ``'miniv'``: the published validation set is ``'val_miniv'``. Default
            ``'train'``.
        image_source: whose images those are that have no COCO id, as in :class:`RefCOCODataset`. Default ``'vg'``,
            Visual Genome's.
        **kwargs: ``unit``, ``data_prefix``, ``pipeline`` and more of :class:`BaseReferringDataset`.

    Raises:
        MissingInputError: a folder or file is missing.
        InputError: the split is unknown, the files do not hold what they should, a phrase's image is unknown, a task or
            two different images have the same id, or a phrase is empty or endless.
    """

    IGNORE_ORIENTATION = True

    def __init__(self, data_root: str, split: str = 'train', image_source: str | None = 'vg', **kwargs) -> None:
        self._image_source = image_source or os.path.realpath(data_root)
        super().__init__(data_root, split, **kwargs)
        self._metainfo.update(data_root=self.data_root)

    def load_referents(self) -> Iterator[dict]:
        """Read the phrases of the split, one after the other: their outlines as JSON has them would fill gigabytes."""
        files, images, empty, seen = self._files(), self._images(), [], set()
        folder = os.path.join(self.data_prefix['img_path'], '')
        tasks = ((path, number, task) for path in files for number, task in enumerate(iterate_json_list(path)))

        def parse(numbered: tuple[int, tuple[str, int, dict]]) -> dict:
            index, (path, number, task) = numbered
            referent = self._referent(task, index, f'{path}: element {number}', path, folder, images)
            if referent['task_id'] in seen:
                raise InputError(f'{path}: element {number}: task_id {referent["task_id"]!r} occurs twice, but tells '
                                 'predictions apart. Get the file again, or remove one.')
            seen.add(referent['task_id'])
            if not _is_visible(referent):
                empty.append(f'{path}: task_id {referent["task_id"]}')
            return referent

        yield from self.parse_each(enumerate(tasks), parse)
        _warn_of_empty(empty)

    def image_key(self, referent: Mapping) -> str:
        """The image's id in COCO, or else source and id."""
        coco_id = referent['coco_id']
        return f'{self._image_source}/{referent["image_id"]}' if coco_id is None else f'coco/{coco_id}'

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split in ``image_data_split.json``."""
        images = defaultdict(set)
        for image_id, image in self._images().items():
            images[image.split].add(self.image_key({'image_id': image_id, 'coco_id': image.coco_id}))
        return dict(images)

    def images(self) -> set[str]:
        """Keys of the images of this split, or of these."""
        images = self.images_by_split()
        return set().union(*(images.get(split, ()) for split in self._splits()))

    def _splits(self) -> list[str]:
        splits = self.split.split('_')
        if not set(splits) <= set(PHRASECUT_SPLITS) or len(set(splits)) < len(splits):
            raise InputError(f'PhraseCut has no split {self.split!r}. It has {", ".join(PHRASECUT_SPLITS)}; several '
                             "are joined by '_', as in 'val_miniv'.")
        return splits

    def _files(self) -> list[str]:
        """The phrases' files, which are there."""
        files = [os.path.join(self.data_root, f'refer_{split}.json') for split in self._splits()]
        for path in (self.data_root, self.data_prefix['img_path']):
            _require(os.path.isdir(path), path)
        for path in files:
            _require(os.path.isfile(path), path)
        return files

    def _images(self) -> dict[str, _Image]:
        path = os.path.join(self.data_root, 'image_data_split.json')
        _require(os.path.isfile(path), path)
        elements = read_json(path)
        if not isinstance(elements, list):
            raise InputError(f'{path} must hold a list of images, but holds an object of type '
                             f'{type(elements).__name__}. Get the file again.')
        images: dict[str, _Image] = {}
        for index, element in enumerate(elements):
            image_id, image = _image(element, f'{path}: element {index}')
            if images.setdefault(key_of(image_id), image) != image:
                raise InputError(f'{path}: two different images have the id {image_id}; nobody can tell which one is '
                                 'meant. Get the file again.')
        return images

    def _referent(self, task: dict, index: int, where: str, path: str, folder: str,
                  images: dict[str, _Image]) -> dict:
        task_id = get_field(task, 'task_id', str, where)
        where = f'{path}: task_id {task_id}'
        image_id = get_field(task, 'image_id', int, where)
        if key_of(image_id) not in images:
            raise InputError(f'{where} refers to image {image_id}, which image_data_split.json does not have. The two '
                             f'files do not belong together, or one is incomplete: get both from {PHRASECUT_SOURCE}.')
        image = images[key_of(image_id)]
        structure = _structure(task, where)
        return {
            'img_path': f'{folder}{image_id}.jpg',
            'height': image.height,
            'width': image.width,
            'segmentation': {'instances': _whole_pixels(get_field(task, 'Polygons', list, where), where)},
            'image_id': image_id,
            'ref_id': index,
            'ann_id': index,
            'category_id': -1,
            'coco_id': image.coco_id,
            'task_id': task_id,
            'instance_boxes': get_field(task, 'instance_boxes', list, where),
            'phrase_structure': structure,
            'sentences': [{'text': _phrase(task, where), 'sent_id': index, 'kind': structure['type']}],
        }


def _require(present: bool, path: str) -> None:
    if not present:
        raise MissingInputError(f'{path} is missing. Set data_root or data_prefix, or get the files by way of '
                                f'{PHRASECUT_SOURCE}.')


def _image(element: dict, where: str) -> tuple[int, _Image]:
    """An image, behind its id."""
    image_id = get_field(element, 'image_id', int, where)
    where = f'{where}, image {image_id}'
    coco_id = element.get('coco_id')
    if coco_id is not None:
        get_field(element, 'coco_id', int, where)
    return image_id, _Image(get_field(element, 'width', int, where), get_field(element, 'height', int, where),
                            coco_id or None, get_field(element, 'split', str, where))


def _phrase(task: dict, where: str) -> str:
    text = get_field(task, 'phrase', str, where)
    if not text.strip():
        raise InputError(f'{where}: the phrase is empty. It must hold at least one character that is not blank: remove '
                         'the task or mend it.')
    return text


def _structure(task: dict, where: str) -> dict:
    structure, where = get_field(task, 'phrase_structure', dict, where), f'{where}: phrase_structure'
    get_field(structure, 'name', str, where)
    get_field(structure, 'type', str, where)
    if not all(isinstance(attribute, str) for attribute in get_field(structure, 'attributes', list, where)):
        raise InputError(f"{where}: 'attributes' must be a list of str.")
    get_field(structure, 'relation_descriptions', list, where)
    return structure


def _whole_pixels(instances: list, where: str) -> list[list[list[int]]]:
    """Outlines of at least two points, each x and y in turn, in whole pixels."""
    outlines = []
    for number, polygons in enumerate(instances):
        try:
            outlines.append([numbers for numbers in map(_truncated, polygons) if len(numbers) > 2])
        except (TypeError, ValueError, OverflowError):
            raise InputError(f'{where}: Polygons[{number}] must be a list of polygons, each a list of points [x, y] in '
                             'pixels, between -32768 and 32768. Remove the task or mend it.') from None
    return outlines


def _truncated(polygon: list) -> list[int]:
    if set(map(len, polygon)) - {2}:
        raise InputError('a point is no pair')
    numbers = list(map(trunc, chain.from_iterable(polygon)))
    array('h', numbers)  # in one pass, whether none is so far away that drawing would never end
    return numbers


def _is_visible(referent: dict) -> bool:
    """Whether the box around one of the outlines has pixels of the image."""
    height, width = referent['height'], referent['width']
    for outline in chain.from_iterable(referent['segmentation']['instances']):
        if 0 <= outline[0] < width and 0 <= outline[1] < height:  # so of nearly all, and fast
            return True
        x, y = outline[::2], outline[1::2]
        if min(x) < width and max(x) >= 0 and min(y) < height and max(y) >= 0:
            return True
    return False


def _warn_of_empty(tasks: list[str]) -> None:
    if tasks:
        shown = '\n'.join(f'  {task}' for task in tasks[:10]) + ('\n  ...' if len(tasks) > 10 else '')
        print_log('Phrases without an outline of two points or more on their image, whose masks therefore are empty '
                  f'({len(tasks)}):\n{shown}', 'current', logging.WARNING)
