"""Transforms of the expression."""
import re

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.errors import InputError
from mmrefseg.registry import TRANSFORMS

_HOURS = ('twelve', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven')


def _in_every_case(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Both directions of each pair, in lower case, upper case and capitalised."""
    return {change(word): change(other) for pair in pairs for word, other in (pair, pair[::-1])
            for change in (str.lower, str.upper, str.capitalize)}


_SIDES = _in_every_case([('left', 'right'), ('lft', 'rt'), ('lhs', 'rhs'), ('east', 'west')])
_CLOCK = _in_every_case([(_HOURS[hour], _HOURS[-hour % 12]) for hour in range(12)]
                        + [(str(hour or 12), str(-hour % 12 or 12)) for hour in range(12)])
_OPPOSITES = _SIDES | _CLOCK


def _any(words: str) -> str:
    return f'(?i:{"|".join(words.split())})'


def _behind(words: str, gap: str = r'\s') -> str:
    """Behind one of the words: Python looks back over a fixed length only."""
    return '(?:' + '|'.join(rf'(?<=\b(?i:{word}){gap})' for word in words.split()) + ')'


# Looking at the first letter only saves time.
_START = r'(?=(?i:[lrew]))' rf'(?:\b|{_behind("top bottom upper lower far north south", gap="")})'
_END = r'(?=(?i:most|wards?|hand(?:ed)?|side)?\b)'
_O_CLOCK = "[ -]?o[-'’ ]{0,2}clock"
# "right next to it", but "on the right next to it"; "the man who left"; "all right"
_PLACING = _behind('on the to at in from far top bottom upper lower front back middle very')
_ADVERB = (r'(?i:left|right)\s' + _any(
    r'next behind there here now under underneath beneath below above beside besides between by near over before after '
    r'against across at outside inside up down where off away through in\s(?:front|between|the) on\stop') + r'\b')
_SIDE = re.compile(
    rf'{_START}(?!{_behind("who that which has have all")})(?:{_PLACING}|(?!{_ADVERB}))(?:{"|".join(_SIDES)}){_END}'
    rf'|(?<![\w:])(?:{"|".join(_CLOCK)})(?=(?i:{_O_CLOCK})\b|:00(?![\w:]))')
_MAYBE_SIDE = re.compile(rf'{_START}(?:{"|".join(_SIDES)}){_END}|\b\w+{_O_CLOCK}\b|\d:\d\d', re.IGNORECASE)


def swap_left_right(text: str) -> str:
    """Say of a mirrored image what ``text`` says of the image; to say it twice gives ``text``.

    "left" and "right" change places as whole words ("left-hand" too), in "leftmost", "leftward", "leftwards",
    "lefthand", "lefthanded" and "leftside", and behind "top", "bottom" and the like ("topleft"). So do "lft" and "rt",
    "lhs" and "rhs", "east" and "west" ("northwest" too), and the hours of "3 o'clock", "nine o'clock" and "9:00". Case
    is kept. "leftover" and "bright" are left alone; so is what may be no side, see :func:`sides_are_clear`.

    Args:
        text: a referring expression.

    Returns:
        The expression with its sides exchanged.
    """
    return _SIDE.sub(lambda match: _OPPOSITES[match.group()], text)


def sides_are_clear(text: str) -> bool:
    """Whether :func:`swap_left_right` exchanges all that may name a side.

    It leaves alone, and the answer is False, where "left" or "right" may be another part of speech: before "next",
    "behind", "there", "under", "in front" and the like ("right next to the door"), unless behind "on", "the", "far",
    "top" or the like ("on the right next to the door"); and behind "who", "that" and "all" ("the man who left"). So it
    is with unusual case ("lEFT") and with times that are no full hour ("9:30").

    Args:
        text: a referring expression.
    """
    return len(_MAYBE_SIDE.findall(text)) == len(_SIDE.findall(text))


_HEIGHTS = _in_every_case([('top', 'bottom'), ('upper', 'lower'), ('topmost', 'bottommost'), ('uppermost', 'lowermost'),
                           ('highest', 'lowest'), ('above', 'below'), ('over', 'under'), ('north', 'south')])
_HEIGHT = re.compile(rf'\b(?:{"|".join(_HEIGHTS)})(?=(?i:(?:left|right|east|west)\w*)?\b)')


def swap_top_bottom(text: str) -> str:
    """Say of an image upside down what ``text`` says of the image; to say it twice gives ``text``.

    "top" and "bottom" change places, "upper" and "lower", "topmost" and "bottommost", "uppermost" and "lowermost",
    "highest" and "lowest", "above" and "below", "over" and "under", "north" and "south"; as whole words, and ahead of
    a side ("topleft", "northwest"). Case is kept.

    Args:
        text: a referring expression.
    """
    return _HEIGHT.sub(lambda match: _HEIGHTS[match.group()], text)


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
            InputError: there are no ``sentences``.
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
        max_sentences: how many of them at most. Default None, which means all.
        separator: what stands between two. Default ``'. '``.

    Raises:
        InputError: ``max_sentences`` is not positive.
    """

    def __init__(self, max_sentences: int | None = None, separator: str = '. ') -> None:
        if max_sentences is not None and max_sentences < 1:
            raise InputError(f'max_sentences must be None or at least 1, got {max_sentences}')
        self.max_sentences = max_sentences
        self.separator = separator

    def transform(self, results: dict) -> dict:
        """Replace ``sentences`` by the keys of all of them together.

        Raises:
            InputError: there are no ``sentences``.
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
        prob: chance that the expression is dropped, between 0 and 1. Default 0.1.

    Raises:
        InputError: ``prob`` does not lie between 0 and 1.
    """

    def __init__(self, prob: float = 0.1) -> None:
        if not 0 <= prob <= 1:
            raise InputError(f'prob must lie between 0 and 1, got {prob}')
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
        raise InputError(f"{name} needs 'sentences': set unit='ref' in the data set, or leave this transform out.")
    return results.pop('sentences')
