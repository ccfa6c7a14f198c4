"""A few images in gRefCOCO's files, written for tests."""
import json
from pathlib import Path

from .refcoco_files import tiny_refcoco, write_refcoco


def tiny_grefcoco() -> dict:
    """:func:`tiny_refcoco` with other refs and a crowd.

    On image 3, annotation 13 is a square of 10×10 pixels in the corner, 14 the whole image, 15 a crowd; on image 1,
    annotation 11 is two overlapping squares and 16 a third one. Of split ``val``, ref 0 is the union of 11 and 16, 1
    the square 13 (and the crowd), 2 has no target, 3 is annotation 12, given as a number; ref 4 is of split ``train``.

    Returns:
        ``images`` and ``annotations`` of ``instances.json``, and ``refs``.
    """
    content = tiny_refcoco()
    crowd = {'id': 15, 'image_id': 3, 'category_id': 1, 'iscrowd': 1, 'segmentation': {'size': [24, 32], 'counts': []}}
    square = {'id': 16, 'image_id': 1, 'category_id': 2, 'iscrowd': 0,
              'segmentation': [[20, 4, 30, 4, 30, 14, 20, 14]]}
    content['annotations'] += [crowd, square]
    refs = [
        _ref(0, 1, [11, 16], [1, 2], 'val', ['both cups', 'all that is red']),
        _ref(1, 3, [13, 15], [1, 1], 'val', ['the corner']),
        _ref(2, 2, [-1], [-1], 'val', ['a dog', 'the sleeping cat']),
        _ref(3, 2, 12, 1, 'val', ['tall man']),
        _ref(4, 3, [14], [1], 'train', ['everything']),
    ]
    return {**content, 'refs': refs}


def write_grefcoco(root: str | Path, content: dict) -> Path:
    """Write the files of a data set, with noise for images.

    Args:
        root: the folder, made if need be.
        content: as :func:`tiny_grefcoco` returns it.

    Returns:
        The folder.
    """
    root = write_refcoco(root, content)
    (root / 'refs(unc).p').unlink()
    (root / 'grefs(unc).json').write_text(json.dumps(content['refs']))
    return root


def _ref(ref_id: int, image_id: int, ann_id: int | list[int], category_id: int | list[int], split: str,
         texts: list[str]) -> dict:
    sent_ids = list(range(10 * ref_id, 10 * ref_id + len(texts)))
    return {
        'ref_id': ref_id,
        'ann_id': ann_id,
        'category_id': category_id,
        'image_id': image_id,
        'file_name': f'COCO_train2014_{image_id:012d}.jpg',
        'split': split,
        'sent_ids': sent_ids,
        'sentences': [{'sent_id': sent_id, 'sent': text, 'raw': text, 'tokens': text.split()}
                      for sent_id, text in zip(sent_ids, texts, strict=True)],
    }
