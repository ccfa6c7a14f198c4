"""Groups of expressions: whose figures stand beside those of all, or that are drawn together."""
from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, get_args

import numpy as np

Grouping = Literal['kind', 'size', 'length']
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)

_SIZES = {'none': (0, 0), 'small': (1, 32**2 - 1), 'medium': (32**2, 96**2 - 1), 'large': (96**2, None)}
_LENGTHS = {'1-2': (0, 2), '3-5': (3, 5), '6-10': (6, 10), '11+': (11, None)}


def group_expressions(by: Sequence[Grouping], kinds: Sequence[str], areas: np.ndarray,
                      lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Sort expressions into groups by their kind, length or size.

    - ``kind``: how the expression refers, as the data set says; those of which it says nothing are in no group;
    - ``size``: COCO's small, medium and large referents, less than 32² pixels, less than 96² and all others on the
      original image, and ``none``;
    - ``length``: words that blanks separate: 1-2, 3-5, 6-10, 11+.

    Args:
        by: which of the three.
        kinds: N kinds.
        areas: (N, ), pixels of the referents on the original images.
        lengths: (N, ), words of the expressions.

    Returns:
        Name such as ``size=small`` → (N, ), boolean; empty groups are left out.
    """
    groups: dict[str, np.ndarray] = {}
    for grouping in dict.fromkeys(by):
        if grouping == 'kind':
            named = {kind: np.array([other == kind for other in kinds]) for kind in sorted({*kinds} - {''})}
        else:
            values, bands = (areas, _SIZES) if grouping == 'size' else (lengths, _LENGTHS)
            named = {name: (values >= low) & (values <= (values.max(initial=0) if high is None else high))
                     for name, (low, high) in bands.items()}
        groups |= {f'{grouping}={name}': members for name, members in named.items() if members.any()}
    return groups


def group_numbers(images: Sequence[Hashable]) -> np.ndarray:
    """The number of each expression's image, in the order in which images first appear; (N, ).

    Args:
        images: N keys; expressions with equal keys are about the same image.
    """
    # Whole numbers can be chosen so that they all meet in the same places of a dictionary, texts cannot.
    keys = [repr(image) if type(image) in (int, str) else image for image in images]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)
