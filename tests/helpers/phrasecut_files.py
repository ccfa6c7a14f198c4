"""A few images in PhraseCut's files, written for tests."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def tiny_phrasecut() -> dict:
    """What the files of a tiny data set hold: four images, of which 2 and 4 aren't of COCO, and five phrases.

    Returns:
        ``images`` of ``image_data_split.json``, ``tasks`` by split, and ``counts``, the content of
        ``name_att_rel_count.json``; for a test to change and to write.
    """
    images = [_image(1, 'train', 501), _image(2, 'train', None), _image(3, 'val', 503), _image(4, 'miniv', 0)]
    tasks = {
        'train': [
            _task(1, 0, 'two dogs', 'dog', ['two'], [[_square(2, 2)], [_square(12, 4), _square(20, 12)]]),
            _task(1, 1, 'dog on grass', 'dog', [], [[_square(2, 2)]], [['on', 'grass']], 'relation'),
            _task(2, 0, 'car', 'car', [], [[_square(0, 0)]], kind='name'),
        ],
        'val': [_task(3, 0, 'red car', 'car', ['red'], [[_square(4, 4)]])],
        'miniv': [_task(4, 0, 'sky', 'sky', [], [[[[0, 0], [31, 0], [31, 10], [0, 10]]]], kind='name')],
    }
    counts = {'cat': [['dog', 9], ['car', 5]], 'att': [['red', 3]], 'rel': [['on', 2]]}
    return {'images': images, 'tasks': tasks, 'counts': counts}


def write_phrasecut(root: str | Path, content: dict) -> Path:
    """Write the files of a data set, with noise for images.

    Args:
        root: the folder, made if need be.
        content: as :func:`tiny_phrasecut` returns it.

    Returns:
        The folder.
    """
    root = Path(root)
    (root / 'images').mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    for image in content['images']:
        pixels = noise.integers(0, 256, (image['height'], image['width'], 3), dtype=np.uint8)
        cv2.imwrite(str(root / 'images' / f'{image["image_id"]}.jpg'), pixels)
    files = {'image_data_split': content['images'], 'name_att_rel_count': content['counts'],
             **{f'refer_{split}': tasks for split, tasks in content['tasks'].items()}}
    for name, value in files.items():
        (root / f'{name}.json').write_text(json.dumps(value))
    return root


def _image(image_id: int, split: str, coco_id: int | None) -> dict:
    return {'image_id': image_id, 'coco_id': coco_id, 'flickr_id': None, 'width': 32, 'height': 24,
            'url': f'https://example.org/{image_id}.jpg', 'split': split}


def _task(image_id: int, number: int, phrase: str, name: str, attributes: list[str], polygons: list,
          relations: list[list[str]] | None = None, kind: str = 'attribute') -> dict:
    structure = {'name': name, 'attributes': attributes, 'relation_ids': list(range(len(relations or []))),
                 'relation_descriptions': relations or [], 'type': kind}
    return {'task_id': f'{image_id}__{number}', 'image_id': image_id, 'ann_ids': list(range(len(polygons))),
            'instance_boxes': [[*instance[0][0], 6.0, 6.0] for instance in polygons], 'Polygons': polygons,
            'phrase': phrase, 'phrase_structure': structure}


def _square(left: float, top: float) -> list[list[float]]:
    """Seven pixels a side, as PhraseCut draws it: its edge belongs to it."""
    return [[left, top], [left + 6.9, top], [left + 6.9, top + 6.9], [left, top + 6.9]]
