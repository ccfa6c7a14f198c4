"""In which way an answer fails."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

MISSING = 'missing'
RULES = {
    'wrong object': 'covers less than half of the referent, and more of another annotated object than of the referent: '
                    'half of that object, or half of the answer',
    'several objects': 'covers at least half of each of two objects or more, the referent among them or not',
    'part': 'half of the answer is on the referent, or half of the referent is answered; misses more of the referent '
            'than it answers beyond it',
    'leak': 'half of the answer is on the referent, or half of the referent is answered; answers more beyond the '
            'referent than it misses of it',
    'fragments': 'in pieces, the largest of them less than half of the answer',
    'elsewhere': 'mostly beside the referent, and on no other annotated object',
    'empty': 'no pixel, though there is a referent',
    'no-target answered': 'pixels, though there is no referent',
    MISSING: 'the file has no answer',
}
"""Class of failures → what belongs to it. All but the last are told by :func:`classify_failure`."""

_HALF = 0.5


def classify_failure(answer: np.ndarray, truth: np.ndarray, others: Sequence[np.ndarray] = (),
                     min_pixels: int = 1) -> str | None:
    """Sort an answer into the first of these classes that fits, if its IoU is at most one half.

    1. ``'no-target answered'``: there is no referent, but an answer.
    2. ``'empty'``: there is no answer, but a referent.
    3. ``'several objects'``: at least half of each of two or more objects is answered. The referent is one of them, or
       is not.
    4. ``'wrong object'``: less than half of the referent is answered, and more pixels of another object than of the
       referent. These are half of that object, or half of the answer.
    5. ``'fragments'``: the largest connected piece is less than half of the answer.
    6. ``'leak'`` and ``'part'``: half of the answer lies on the referent, or half of the referent is answered. It is a
       leak if more pixels are answered beyond the referent than are missed of it, else a part.
    7. ``'elsewhere'``: all others.

    What lies on the referent is no other object: of others counts what is beyond it, and those of which that is less
    than half, such as a tie on the referent, or the referent itself, do not count.

    Args:
        answer: (H, W), boolean.
        truth: (H, W), boolean.
        others: what else is annotated on the image, (H, W) each, boolean. Default (): then the third and fourth class
            cannot be told.
        min_pixels: an answer of fewer pixels is none. Default 1.

    Returns:
        One of :data:`RULES`; None for an IoU above one half, and where nothing is there and nothing is answered.
    """
    answered, area = int(answer.sum()), int(truth.sum())
    answered = answered if answered >= min_pixels else 0
    if not area or not answered:
        return 'no-target answered' if answered else 'empty' if area else None
    shared = int((answer & truth).sum())
    if shared > _HALF * (answered + area - shared):
        return None
    covers_truth = shared >= _HALF * area
    objects = [(int((answer & beyond).sum()), int(beyond.sum()), beyond) for beyond in _beyond(truth, others)]
    if covers_truth + _covered(objects) >= 2:
        return 'several objects'
    if not covers_truth and any(on_it > shared and on_it >= _HALF * min(size, answered) for on_it, size, _ in objects):
        return 'wrong object'
    if _largest_piece(answer) < _HALF * answered:
        return 'fragments'
    if covers_truth or shared >= _HALF * answered:
        return 'leak' if answered - shared > area - shared else 'part'
    return 'elsewhere'


def _beyond(truth: np.ndarray, others: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What of other objects is beyond the referent, of those of which that is at least half."""
    parts = ((other & ~truth, int(other.sum())) for other in others)
    return [part for part, size in parts if size and part.sum() >= _HALF * size]


def _covered(objects: Sequence[tuple[int, int, np.ndarray]]) -> int:
    """How many objects are answered by half; one that lies mostly on those counted before is no further one."""
    counted: np.ndarray | None = None
    number = 0
    for on_it, size, mask in sorted(objects, key=lambda found: -found[1]):
        if on_it >= _HALF * size and (counted is None or (mask & ~counted).sum() >= _HALF * size):
            counted = mask if counted is None else counted | mask
            number += 1
    return number


def _largest_piece(answer: np.ndarray) -> int:
    """Pixels of the largest piece; pixels that touch at a corner are connected."""
    sizes = cv2.connectedComponentsWithStats(answer.astype(np.uint8), connectivity=8)[2][:, cv2.CC_STAT_AREA]
    return int(sizes[1:].max())
