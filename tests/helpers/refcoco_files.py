"""A few images in RefCOCO's files, written for tests."""
import json
import pickle
from pathlib import Path

import cv2
import numpy as np


def tiny_refcoco() -> dict:
    """What the files of a tiny data set hold: three images, four annotations, five sentences.

    Annotation 11 is two overlapping squares, 12 an RLE of run lengths, 14 a compressed RLE of the whole image; ref 3
    is of split ``val``, the others of ``train``.

    Returns:
        ``images`` and ``annotations`` of ``instances.json``, and ``refs``; for a test to change and to write.
    """
    images = [
        {'id': 1, 'file_name': 'one.jpg', 'height': 24, 'width': 32},
        {'id': 2, 'file_name': 'two.png', 'height': 40, 'width': 20},
        {'id': 3, 'file_name': 'three.jpg', 'height': 24, 'width': 32},
    ]
    annotations = [
        _annotation(11, 1, [[2, 2, 12, 2, 12, 12, 2, 12], [8, 8, 18, 8, 18, 18, 8, 18]]),
        _annotation(12, 2, {'size': [40, 20], 'counts': [40, 80, 680]}),
        _annotation(13, 3, [[0, 0, 10, 0, 10, 10, 0, 10]]),
        _annotation(14, 3, {'size': [24, 32], 'counts': '0Ph0'}),
    ]
    refs = [
        _ref(0, 11, 1, 'train', [(0, 'the left cup', 'location'), (1, 'red cup', 'attribute')]),
        _ref(1, 12, 2, 'train', [(2, 'tall man', '')]),
        _ref(2, 13, 3, 'train', [(3, 'corner', '')]),
        _ref(3, 14, 3, 'val', [(4, 'everything', '')]),
    ]
    return {'images': images, 'annotations': annotations, 'refs': refs}


def write_refcoco(root: str | Path, content: dict, split_by: str = 'unc') -> Path:
    """Write the files of a data set, with noise for images.

    Args:
        root: the folder, made if need be.
        content: as :func:`tiny_refcoco` returns it.
        split_by: whose splits. Default ``'unc'``.

    Returns:
        The folder.
    """
    root = Path(root)
    write_noise(root / 'images', content['images'])
    (root / 'instances.json').write_text(json.dumps({key: content[key] for key in ('images', 'annotations')}))
    (root / f'refs({split_by}).p').write_bytes(pickle.dumps(content['refs'], protocol=2))
    return root


def write_refs_on_images(root: Path, splits: dict[str, list[int]], split_by: str = 'unc') -> dict:
    """Write a data set that has a ref for each image id; its expression names folder and image.

    Args:
        root: the folder, made if need be.
        splits: image ids by split; an id that comes twice has two refs.
        split_by: whose splits. Default ``'unc'``.

    Returns:
        Config of the data set.
    """
    content = {'images': [], 'annotations': [], 'refs': []}
    for ref_id, (split, image_id) in enumerate((split, i) for split, ids in splits.items() for i in ids):
        content['images'].append({'id': image_id, 'file_name': f'{image_id}.jpg', 'height': 8, 'width': 8})
        content['annotations'].append(_annotation(ref_id, image_id, [[0, 0, image_id, 0, image_id, 4, 0, 4]]))
        content['refs'].append(_ref(ref_id, ref_id, image_id, split, [(ref_id, f'{root.name} {image_id}', '')]))
    write_refcoco(root, content, split_by)
    return {'type': 'RefCOCODataset', 'data_root': str(root), 'split_by': split_by}


def write_noise(folder: Path, images: list[dict]) -> None:
    """Write an image of noise for each of the ``images`` of an ``instances.json``."""
    noise = np.random.default_rng(0)
    for image in images:
        path = folder / image['file_name']
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), noise.integers(0, 256, (image['height'], image['width'], 3), dtype=np.uint8))


def _annotation(ann_id: int, image_id: int, segmentation: list | dict) -> dict:
    return {'id': ann_id, 'image_id': image_id, 'category_id': 1, 'segmentation': segmentation}


def _ref(ref_id: int, ann_id: int, image_id: int, split: str, sentences: list[tuple[int, str, str]]) -> dict:
    return {
        'ref_id': ref_id,
        'ann_id': ann_id,
        'category_id': 1,
        'image_id': image_id,
        'file_name': f'COCO_train2014_{image_id:012d}_{ann_id}.jpg',
        'split': split,
        'sent_ids': [sent_id for sent_id, *_ in sentences],
        'sentences': [{'sent_id': sent_id, 'sent': text, 'raw': text, 'tokens': text.split(), 'kind': kind}
                      for sent_id, text, kind in sentences],
    }
