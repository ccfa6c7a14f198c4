"""Made-up metadata of PhraseCut's size, for measuring memory and time."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .coco_like import HEIGHT, WIDTH, random_outlines, random_words

_SPLIT_ENDS = (('train', 0.93), ('val', 0.967), ('test', 1))


def write_phrasecut_like(root: str | Path, num_images: int, seed: int = 0) -> Path:
    """Write PhraseCut's files without images: on each image 4.5 phrases, with one or two outlined instances each.

    Args:
        root: the folder, made if need be.
        num_images: number of images, at least 3.
        seed: seed of all randomness. Default 0.

    Returns:
        The folder.
    """
    root, random = Path(root), np.random.default_rng(seed)
    (root / 'images').mkdir(parents=True, exist_ok=True)
    images, first = [], 0
    for split, end in _SPLIT_ENDS:
        last = round(end * num_images)
        ids = range(first + 1, last + 1)
        images += [{'image_id': image_id, 'split': split, 'height': HEIGHT, 'width': WIDTH, 'coco_id': None}
                   for image_id in ids]
        tasks = [task for image_id in ids for task in _tasks(random, image_id)]
        (root / f'refer_{split}.json').write_text(json.dumps(tasks))
        first = last
    (root / 'image_data_split.json').write_text(json.dumps(images))
    return root


def _tasks(random: np.random.Generator, image_id: int) -> list[dict]:
    outlines, tasks = random_outlines(random), []
    for number in range(4 + image_id % 2):
        instances = outlines[2 * number:2 * number + 1 + number % 2]
        words = random_words(random)
        tasks.append({
            'task_id': f'{image_id}__{number}', 'image_id': image_id, 'phrase': ' '.join(words),
            'ann_ids': list(range(len(instances))), 'instance_boxes': [[10.0, 10.0, 200.0, 200.0] for _ in instances],
            'Polygons': [[list(zip(polygon[::2], polygon[1::2], strict=True)) for polygon in instance]
                         for instance in instances],
            'phrase_structure': {'name': words[0], 'attributes': words[1:2], 'relation_descriptions': [],
                                 'type': 'attribute'},
        })
    return tasks
