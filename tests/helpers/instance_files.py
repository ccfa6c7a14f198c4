"""A few images in the files of COCO's and PASCAL VOC's instances, written for tests."""
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .refcoco_files import write_noise


def tiny_coco() -> dict:
    """What an ``instances_val2017.json`` of two images of 100×80 (W×H) pixels holds.

    Image 7 has a dog at the left edge (annotation 1) and one at the right (2), a cat over most of it (3), two cups of
    which one is small (4, 5), and two birds in one place (6, 7); image 9 a dog beside a crowd of dogs (8, 9), and a cat
    (10).

    Returns:
        ``images``, ``annotations`` and ``categories``; for a test to change and to write.
    """
    images = [{'id': number, 'file_name': f'{number:012d}.jpg', 'height': 80, 'width': 100} for number in (7, 9)]
    annotations = [
        _box(1, 7, 18, 0, 30, 20, 20),
        _box(2, 7, 18, 80, 30, 20, 20),
        _box(3, 7, 17, 10, 4, 80, 72),
        _box(4, 7, 47, 45, 10, 10, 10),
        _box(5, 7, 47, 45, 48, 50, 16),
        _box(6, 7, 16, 10, 10, 8, 8),
        _box(7, 7, 16, 12, 10, 8, 8),
        _box(8, 9, 18, 0, 0, 20, 20),
        {**_box(9, 9, 18, 40, 0, 50, 50), 'iscrowd': 1, 'segmentation': {'size': [80, 100], 'counts': [0, 8000]}},
        _box(10, 9, 17, 0, 0, 20, 20),
    ]
    categories = [{'id': key, 'name': name} for key, name in ((16, 'bird'), (17, 'cat'), (18, 'dog'), (47, 'cup'))]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def write_coco(root: str | Path, content: dict, split: str = 'val2017') -> Path:
    """Write the files of a data set, with noise for images.

    Args:
        root: the folder, made if need be.
        content: as :func:`tiny_coco` returns it.
        split: split and year. Default ``'val2017'``.

    Returns:
        The folder.
    """
    root = Path(root)
    write_noise(root / split, content['images'])
    (root / 'annotations').mkdir(exist_ok=True)
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))
    return root


def write_voc(root: str | Path) -> Path:
    """Write a data set of two images of 50×40 (W×H) pixels in PASCAL VOC's files, with noise for images.

    Image 2007_000032 (``val``) has a large sofa (object 1) with a cat on it at the left (2) and a cat at the right (3),
    each with a void border; 2008_000007 (``train``) a person (1).

    Args:
        root: the folder, made if need be.

    Returns:
        The folder.
    """
    root = Path(root)
    objects = {name: np.zeros((40, 50), np.uint8) for name in ('2007_000032', '2008_000007')}
    classes = {name: np.zeros_like(labels) for name, labels in objects.items()}
    for name, number, category, (left, top, right, bottom) in (
            ('2007_000032', 1, 18, (5, 8, 45, 38)), ('2007_000032', 2, 8, (6, 10, 16, 24)),
            ('2007_000032', 3, 8, (36, 10, 46, 24)), ('2008_000007', 1, 15, (20, 2, 30, 38))):
        for labels, value in ((objects[name], number), (classes[name], category)):
            labels[top:bottom, left:right] = 255
            labels[top + 1:bottom - 1, left + 1:right - 1] = value
    for folder, images in (('SegmentationObject', objects), ('SegmentationClass', classes)):
        (root / folder).mkdir(parents=True)
        for name, labels in images.items():
            write_labels(root / folder / f'{name}.png', labels)
    write_noise(root / 'JPEGImages', [{'file_name': f'{name}.jpg', 'height': 40, 'width': 50} for name in objects])
    lists = root / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    for split, text in (('val', '2007_000032\n'), ('train', '2008_000007\n'),
                        ('trainval', '2007_000032\n2008_000007\n')):
        (lists / f'{split}.txt').write_text(text)
    return root


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Write numbers (H, W), uint8, as a PNG with a palette in which equal numbers don't mean equal greys."""
    image = Image.fromarray(labels, 'P')
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def _box(ann_id: int, image_id: int, category_id: int, x: int, y: int, width: int, height: int) -> dict:
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {'id': ann_id, 'image_id': image_id, 'category_id': category_id, 'bbox': [x, y, width, height],
            'area': width * height, 'iscrowd': 0, 'segmentation': [corners]}
