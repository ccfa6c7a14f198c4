"""RefShapes as RefCOCO's files, and as PhraseCut's, where a phrase may refer to several objects."""
from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from . import python2_pickle
from .group_phrases import Phrase, describe_groups
from .picture import Picture, PictureTask, draw_picture, make_picture, trace_pixels
from .scene import SHAPES


def _image_name(image_id: int) -> str:
    return f'COCO_train2014_{image_id:012d}'


class RefCOCOLayout:
    """The contents of both annotation files, grown image by image; numbers every entry.

    Args:
        version: version of the data, for ``instances.json``.
    """

    NUM_IMAGES = MappingProxyType({'train': 5000, 'val': 150, 'testA': 150, 'testB': 150})
    CONTENTS = ('images', 'instances.json', 'refs(unc).p')
    make_picture = staticmethod(make_picture)

    def __init__(self, version: int) -> None:
        self.version = version
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.refs: list[dict] = []
        self.num_sentences = 0

    def add(self, picture: Picture, task: PictureTask) -> str:
        """Add an image and all about it.

        Args:
            picture: the image, its objects and expressions.
            task: which image it is.

        Returns:
            The file name that the image must get.
        """
        image_id = len(self.images) + 1
        file_name = f'{_image_name(image_id)}.jpg'
        width, height = task.image_size
        self.images.append({'id': image_id, 'file_name': file_name, 'width': width, 'height': height})
        for entry in picture.objects:
            annotation = {
                'id': len(self.annotations) + 1,
                'image_id': image_id,
                'category_id': SHAPES.index(entry.shape) + 1,
                **entry.annotation,
            }
            self.annotations.append(annotation)
            if entry.sentences:
                self._add_ref(annotation, task.split, entry.sentences)
        return file_name

    def _add_ref(self, annotation: dict, split: str, sentences: list) -> None:
        first = self.num_sentences
        self.num_sentences += len(sentences)
        self.refs.append({
            'ref_id': len(self.refs),
            'ann_id': annotation['id'],
            'category_id': annotation['category_id'],
            'image_id': annotation['image_id'],
            'file_name': f'{_image_name(annotation["image_id"])}_{annotation["id"]}.jpg',
            'split': split,
            'sent_ids': list(range(first, self.num_sentences)),
            'sentences': [{'sent_id': first + offset, 'tokens': sentence.sent.split(), **sentence._asdict()}
                          for offset, sentence in enumerate(sentences)],
        })

    def write(self, folder: Path) -> None:
        """Write ``instances.json`` and the refs.

        Args:
            folder: where to.
        """
        instances = {
            'info': {'description': 'RefShapes: made-up scenes with referring expressions', 'version': self.version},
            'licenses': [],
            'images': self.images,
            'annotations': self.annotations,
            'categories': [{'id': number, 'name': shape, 'supercategory': 'shape'}
                           for number, shape in enumerate(SHAPES, 1)],
        }
        (folder / 'instances.json').write_text(json.dumps(instances, separators=(',', ':')))
        (folder / 'refs(unc).p').write_bytes(python2_pickle.dumps(self.refs))


class _Picture(NamedTuple):
    """One image as JPEG data; of each object outlines and box (x, y, w, h); and phrases."""
    jpeg: bytes
    objects: list[tuple[list[list[list[int]]], list[float]]]
    phrases: list[Phrase]


def _make_picture(task: PictureTask) -> _Picture:
    """Make one image with phrases; nothing but the task decides what comes out.

    Args:
        task: which image.
    """
    jpeg, scene, annotations, things, rng = draw_picture(task)
    objects = [(trace_pixels((scene.labels == index).astype(np.uint8)), annotation['bbox'])
               for index, annotation in enumerate(annotations)]
    return _Picture(jpeg, objects, describe_groups(things, rng))


class PhraseCutLayout:
    """The contents of the annotation files, grown image by image; numbers every entry.

    Args:
        version: version of the data; no file of PhraseCut has a place for it.
    """

    NUM_IMAGES = MappingProxyType({'train': 5000, 'val': 150, 'test': 150, 'miniv': 20})
    CONTENTS = ('images', 'image_data_split.json', 'name_att_rel_count.json',
                *(f'refer_{split}.json' for split in NUM_IMAGES))
    make_picture = staticmethod(_make_picture)

    def __init__(self, version: int) -> None:
        self.images: list[dict] = []
        self.tasks: dict[str, list[dict]] = {split: [] for split in self.NUM_IMAGES}
        self.counts = {'cat': Counter(), 'att': Counter(), 'rel': Counter()}

    def add(self, picture: _Picture, task: PictureTask) -> str:
        """Add an image and all about it.

        Args:
            picture: the image, its objects and phrases.
            task: which image it is.

        Returns:
            The file name that the image must get.
        """
        image_id = len(self.images) + 1
        file_name = f'{image_id}.jpg'
        width, height = task.image_size
        self.images.append({'image_id': image_id, 'coco_id': None, 'flickr_id': None, 'width': width, 'height': height,
                            'url': file_name, 'split': task.split})
        for number, phrase in enumerate(picture.phrases):
            outlines, boxes = zip(*(picture.objects[index] for index in phrase.targets), strict=True)
            self.tasks[task.split].append({
                'task_id': f'{image_id}__{number}', 'image_id': image_id, 'ann_ids': list(phrase.targets),
                'instance_boxes': boxes, 'Polygons': outlines, 'phrase': phrase.text,
                'phrase_structure': phrase.structure})
            self.counts['cat'][phrase.structure['name']] += 1
            self.counts['att'].update(phrase.structure['attributes'])
            self.counts['rel'].update(relation for relation, _ in phrase.structure['relation_descriptions'])
        return file_name

    def write(self, folder: Path) -> None:
        """Write all annotation files of the data set.

        Args:
            folder: where to.
        """
        counts = {key: sorted(counter.items(), key=lambda item: (-item[1], item[0]))
                  for key, counter in self.counts.items()}
        files = {'image_data_split': self.images, 'name_att_rel_count': counts,
                 **{f'refer_{split}': tasks for split, tasks in self.tasks.items()}}
        for name, content in files.items():
            (folder / f'{name}.json').write_text(json.dumps(content, separators=(',', ':')))
