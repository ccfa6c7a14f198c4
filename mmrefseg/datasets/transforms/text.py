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
        sentences = _take_sentences(results, 'SampleSentence')
        results.update(sentences[np.random.randint(len(sentences))])
        return results


@TRANSFORMS.register_module()
class ConcatSentences(BaseTransform):
    """Join a referent's expressions, in random order; for data sets with ``unit='ref'``, instead of ``SampleSentence``.

    The text encoder cuts off what is longer than its number of tokens.

    Required Keys:

    - sentences (list[dict], each with ``text``, ``sent_id`` and ``kind``; taken out)

    Added Keys:

    - text (str)
    - sent_id (int, that of the first one)
    - kind (str, ``''``: several may differ)

    Args:
        max_sentences (int | None): How many of them at most. Default: None, which means all.
        separator (str): What stands between two. Default: ``'. '``.

    Raises:
        ValueError: If ``max_sentences`` is not positive.
    """

    def __init__(self, max_sentences: int | None = None, separator: str = '. ') -> None:
        if max_sentences is not None and max_sentences < 1:
            raise ValueError(f'max_sentences must be None or at least 1, got {max_sentences}')
        self.max_sentences = max_sentences
        self.separator = separator

    def transform(self, results: dict) -> dict:
        """Replace ``sentences`` by the keys of all of them together.

        Raises:
            ValueError: If there are no ``sentences``.
        """
        sentences = _take_sentences(results, 'ConcatSentences')
        chosen = [sentences[i] for i in np.random.permutation(len(sentences))[:self.max_sentences]]
        text = self.separator.join(sentence['text'] for sentence in chosen)
        results.update(text=text, sent_id=chosen[0]['sent_id'], kind='')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_sentences={self.max_sentences}, separator={self.separator!r})'


@TRANSFORMS.register_module()
class DropExpression(BaseTransform):
    """Replace the whole expression by the empty one now and then; image and mask stay.

    It keeps a model from relying on the words alone, and teaches it what to expect where nothing is asked, which
    guidance without a classifier (https://arxiv.org/abs/2207.12598) builds on. Single words are never left out: "not
    in red" would turn into "in red". It belongs behind transforms that read the expression, as crops and flips do.

    Required Keys:

    - text (str)

    Modified Keys:

    - text
    - kind (str, ``''`` where dropped)

    Args:
        prob (float): Chance that the expression is dropped, between 0 and 1. Default: 0.1.

    Raises:
        ValueError: If ``prob`` does not lie between 0 and 1.
    """

    def __init__(self, prob: float = 0.1) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must lie between 0 and 1, got {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Drop the expression, or not."""
        if np.random.rand() < self.prob:
            results.update(text='', kind='')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


def _take_sentences(results: dict, name: str) -> list[dict]:
    if 'sentences' not in results:
        raise ValueError(f"{name} needs 'sentences': set unit='ref' in the data set, or leave this transform out.")
    return results.pop('sentences')
