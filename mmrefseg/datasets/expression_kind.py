"""Sorting expressions by how they refer, from their words alone."""
import re

EXPRESSION_KINDS = ('attribute', 'location', 'relation', 'superlative')

_EXTREMES = ('biggest largest greatest smallest littlest tallest shortest longest highest lowest widest narrowest '
             'thickest thinnest fattest slimmest closest nearest farthest furthest deepest youngest oldest newest '
             'brightest darkest lightest palest clearest cleanest fullest roundest flattest sharpest hottest coldest '
             'fastest slowest')
# Not just any word in -er, as "player" is; and "lower" mostly is a place.
_COMPARATIVES = ' '.join(word[:-3] + 'er' for word in _EXTREMES.split() if word != 'lowest') + ' than more less'
_RANKS = 'most least first second third fourth fifth sixth seventh eighth ninth tenth last'
_PLACES = ('left right lft rt lhs rhs top bottom mid middle center centre centered centred corner upper lower inner '
           'outer front rear back background foreground edge end side north south east west')
_RELATIONS = ('above below under underneath beneath beside besides behind between near nearby against inside outside '
              'over along alongside among around toward towards past beyond on')
_OTHERS = ('mid middle center centre centered centred central inner outer other others another rest same '
           'nearest closest farthest furthest by opposite touching after number row column')
_FUNCTION_WORDS = (
    'a an the this that these those his her its their our your my who whom whose which what where when there here it '
    'he she they him them i you we me us is are was were be been am has have had do does did will would can could and '
    'or but nor not no with without of to from in into onto off out up down at for as so very really just only also '
    'both each every any some all one ones few several many two three four five six seven eight nine ten')
_QUALITIES = (
    'red green blue yellow purple orange white black brown grey gray pink beige tan gold golden silver blond blonde '
    'dark light pale bright colored coloured striped plaid plain big bigger large larger small smaller little tiny '
    'huge tall taller short shorter long longer wide narrow thick thin fat slim young younger old older new full '
    'empty half whole open closed same different visible')
# Nouns in -ing, among what a person or thing is doing.
_THINGS = (
    'thing things something building buildings ceiling string ring rings king wing wings clothing painting railing '
    'swing earring sibling evening morning wedding frosting icing topping spring dressing pudding')
_PICTURES = 'image picture pictures pic photo photograph screen frame view shot page'


def _any(words: str) -> str:
    return f'(?:{"|".join(words.split())})'


_SUPERLATIVE = re.compile(rf'\b(?:{_any(_EXTREMES)}|{_any(_RANKS)}|\w+most|(?!priest)\w+iest|\d+(?:st|nd|rd|th))\b')
_SIDE = '(?:top|bottom|upper|lower|far|north|south)?(?:left|right|east|west)(?:wards?|hand(?:ed)?|side)?'
_LOCATION = re.compile(rf'\b(?:{_any(_PLACES)}|{_SIDE}|far|\d*o ?clock|\d+ [03]0)\b')
_FILLERS = r'(?:(?:the|this|its|our|your|my|whole|far|very) )*'
_TO_ANOTHER_THING = rf'(?! {_FILLERS}{_any(f"{_PLACES} {_PICTURES}")}\b)'
_RELATION = re.compile(rf'\b(?:{_any(_RELATIONS)}|next to|clos(?:e|er) to|nearer to|across from|away from)'
                       rf'{_TO_ANOTHER_THING}\b'
                       rf'|\b{_any(_PLACES)} of{_TO_ANOTHER_THING}\b')
_NEEDS_OTHERS = re.compile(rf'\b(?:{_any(f"{_RANKS} {_OTHERS} {_COMPARATIVES}")}|(?!skier)\w+ier|'
                           rf'\d+(?:st|nd|rd|th)|from {_FILLERS}(?:{_any(_PLACES)}|{_SIDE}))\b')


def classify_expression(text: str) -> str:
    """Sort an expression into one of ``EXPRESSION_KINDS`` by lists of English words.

    The first that fits, case and punctuation apart:

    - ``superlative``: an extreme or a rank among several: "biggest", "leftmost", "most", "second", "3rd", "last".
    - ``relation``: a place seen from another thing: "above", "behind", "next to", "on" or "left of" something, unless
      that is the picture ("on the left of the photo") or a place in it ("near the top").
    - ``location``: a place in the picture: "left", "top", "middle", "front", "corner", "north", "3 o'clock",
      "9:00".
    - ``attribute``: all others, by what they are, look like, do or wear: "red cup", "man holding a racket".

    It is a rough tool for counts: a word of two meanings ("back pocket", "right hand", "on the phone") is taken for a
    place. On RefShapes, whose sentences carry their kind, it agrees with every one; on real data it is unmeasured.

    Args:
        text: a referring expression.

    Returns:
        The kind.
    """
    words = _words(text)
    for kind, pattern in (('superlative', _SUPERLATIVE), ('relation', _RELATION), ('location', _LOCATION)):
        if pattern.search(words):
            return kind
    return 'attribute'


def names_place(text: str) -> bool:
    """Whether an expression says where in the picture the referent is, or that it is the utmost of several.

    Args:
        text: a referring expression.
    """
    words = _words(text)
    return bool(_LOCATION.search(words) or _SUPERLATIVE.search(words))


def needs_others(text: str) -> bool:
    """Whether an expression means little without other things in the picture.

    So it is where it names a relation ("next to the door", "by the door", "closest to the door"), counts ("second",
    "3rd", "two from the left", "#3", "middle", "last") or compares with the rest ("the other one", "the bigger one").

    Args:
        text: a referring expression.
    """
    words = _words(text)
    return bool(_RELATION.search(words) or _NEEDS_OTHERS.search(words))


_NO_NOUNS = frozenset(f'{_FUNCTION_WORDS} {_QUALITIES} {_EXTREMES} {_COMPARATIVES} {_RANKS} {_PLACES} {_RELATIONS} '
                      f'{_OTHERS}'.split())


def nouns_of(text: str) -> str:
    """The nouns of an expression, by lists of English words; a rough tool, as :func:`classify_expression` is.

    What is left when articles, pronouns, prepositions, numbers, places, ranks, comparatives, colours, sizes and words
    in -ing are taken out. "the tall man wearing a red hat on the left" becomes "man hat".

    Args:
        text: a referring expression.

    Returns:
        The nouns in their order; empty where there are none, as in "the one on the left".
    """
    return ' '.join(word for word in _words(text).split() if not (
        word in _NO_NOUNS or (word.endswith('ing') and word not in _THINGS.split()) or not word.isalpha()
        or re.fullmatch(rf'{_SIDE}|\w+most|\w+iest', word)))


def _words(text: str) -> str:
    return ' '.join(re.findall(r'\w+', text.lower().replace('#', ' number ')))
