"""Sorting expressions by how they refer, from their words alone."""
import re

EXPRESSION_KINDS = ('attribute', 'location', 'relation', 'superlative')

_EXTREMES = ('biggest largest greatest smallest littlest tiniest tallest shortest longest highest lowest widest '
             'thickest thinnest fattest slimmest skinniest heaviest closest nearest farthest furthest deepest youngest '
             'oldest newest brightest darkest lightest cleanest prettiest')
_RANKS = 'most least first second third fourth fifth last'
_PLACES = 'left right top bottom middle center centre corner upper lower front back background foreground edge end side'
_RELATIONS = ('above below under underneath beneath beside besides behind between near nearby against inside over '
              'along among around toward towards on')
_OTHERS = 'middle center centre central other others another rest same nearest closest farthest furthest by opposite'
_PICTURES = 'image picture pictures pic photo photograph screen frame view shot page'


def _any(words: str) -> str:
    return f'(?:{"|".join(words.split())})'


_SUPERLATIVE = re.compile(rf'\b(?:{_any(_EXTREMES)}|{_any(_RANKS)}|\w+most|\d+(?:st|nd|rd|th))\b')
_LOCATION = re.compile(rf'\b(?:{_any(_PLACES)}|(?:left|right)(?:wards?|hand(?:ed)?|side)|far|\d+ o ?clock)\b')
_FILLERS = r'(?:(?:the|this|its|our|your|my|whole|far|very) )*'
_TO_ANOTHER_THING = rf'(?! {_FILLERS}{_any(f"{_PLACES} {_PICTURES}")}\b)'
_RELATION = re.compile(rf'\b(?:{_any(_RELATIONS)}|next to|clos(?:e|er) to|nearer to|across from){_TO_ANOTHER_THING}\b'
                       rf'|\b{_any(_PLACES)} of{_TO_ANOTHER_THING}\b')
_NEEDS_OTHERS = re.compile(rf'\b(?:{_any(_RANKS)}|{_any(_OTHERS)}|\d+(?:st|nd|rd|th))\b')


def classify_expression(text: str) -> str:
    """Sort an expression into one of ``EXPRESSION_KINDS`` by lists of English words.

    The first that fits, case and punctuation apart:

    - ``superlative``: an extreme or a rank among several: "biggest", "leftmost", "most", "second", "3rd", "last".
    - ``relation``: a place seen from another thing: "above", "behind", "next to", "on" or "left of" something, unless
      that is the picture ("on the left of the photo") or a place in it ("near the top").
    - ``location``: a place in the picture: "left", "top", "middle", "front", "corner", "3 o'clock".
    - ``attribute``: all others, by what they are, look like, do or wear: "red cup", "man holding a racket".

    It is a rough tool for counts: a word of two meanings ("back pocket", "right hand", "on the phone") is taken for a
    place. On RefShapes, whose sentences carry their kind, it agrees with every one; on real data it is unmeasured.

    Args:
        text (str): A referring expression.

    Returns:
        str: The kind.
    """
    words = _words(text)
    for kind, pattern in (('superlative', _SUPERLATIVE), ('relation', _RELATION), ('location', _LOCATION)):
        if pattern.search(words):
            return kind
    return 'attribute'


def names_place(text: str) -> bool:
    """Whether an expression says where in the picture the referent is, or that it is the utmost of several.

    Args:
        text (str): A referring expression.
    """
    words = _words(text)
    return bool(_LOCATION.search(words) or _SUPERLATIVE.search(words))


def needs_others(text: str) -> bool:
    """Whether an expression means little without other things in the picture.

    So it is where it names a relation ("next to the door", "by the door", "closest to the door"), counts ("second",
    "3rd", "middle", "last") or compares with the rest ("the other one").

    Args:
        text (str): A referring expression.
    """
    words = _words(text)
    return bool(_RELATION.search(words) or _NEEDS_OTHERS.search(words))


def _words(text: str) -> str:
    return ' '.join(re.findall(r'\w+', text.lower().replace("'", ' ')))
