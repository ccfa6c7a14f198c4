"""Transforms of the expression."""
import re

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.registry import TRANSFORMS

_SIDE = re.compile(r'\b(left|right)(?=(?:most|wards?|hand(?:ed)?|side)?\b)', re.IGNORECASE)


def swap_left_right(text: str) -> str:
    """Say of a mirrored image what ``text`` says of the image.

    "left" and "right" change places as whole words ("left-hand" too) and in "leftmost", "leftward", "leftwards",
    "lefthand", "lefthanded" and "leftside", keeping their case; "leftover" and "bright" are left alone.

    Args:
        text (str): A referring expression.

    Returns:
        str: The expression with its sides exchanged.
    """
    return _SIDE.sub(_other_side, text)


def _other_side(match: re.Match) -> str:
    word = match.group()
    other = 'right' if word.lower() == 'left' else 'left'
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


@TRANSFORMS.register_module()
class SampleSentence(BaseTransform):
    """Draw one of a referent's expressions, each with the same chance; for data sets with ``unit='ref'``.

    Required Keys:

    - sentences (list[dict], each with ``text``, ``sent_id`` and ``kind``; taken out)

    Added Keys:

    - text (str)
    - sent_id (int)
    - kind (str)
    """

    def transform(self, results: dict) -> dict:
        """Replace ``sentences`` by the keys of one of them.

        Raises:
            ValueError: If there are no ``sentences``.
        """
        if 'sentences' not in results:
            raise ValueError("SampleSentence needs 'sentences': set unit='ref' in the data set, or leave this "
                             'transform out.')
        sentences = results.pop('sentences')
        results.update(sentences[np.random.randint(len(sentences))])
        return results
