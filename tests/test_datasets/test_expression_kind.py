import pytest

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.datasets.expression_kind import EXPRESSION_KINDS, classify_expression, names_place, needs_others
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.datasets.refshapes.expressions import KINDS


@pytest.mark.parametrize(('kind', 'texts'), [
    ('attribute', 'blue bus|man in red shirt|guest in vest|chest of drawers|woman holding a racket|forest|HAT|?'),
    ('location', "left man|guy on left|on left of picture|the zebra on the far left|kid in front|top-left slice|middle|"
                 "donut at 3 o'clock|bowl on top|bottom of the pic|LEFT ONE|red car near the bottom|cup in the corner"),
    ('relation', 'the man left of the red car|left side of table|kid in front of the bench|cat on the chair|'
                 'couch next to window|person under umbrella|on top of fridge|dog between two girls|bag beside him'),
    ('superlative', 'second from left|leftmost horse|left-most horse|bear closest to us|biggest slice|3rd from right|'
                    'the one farthest to the left|last car behind the bus|most visible person'),
])
def test_examples(kind, texts):
    assert {text: classify_expression(text) for text in texts.split('|')} == dict.fromkeys(texts.split('|'), kind)


def test_agrees_with_refshapes(tmp_path):
    make_refshapes(tmp_path, {'train': 120, 'testB': 40}, seed=2)
    kinds = []
    for split in ('train', 'testB'):
        dataset = RefCOCODataset(str(tmp_path), split=split)
        for info in map(dataset.get_data_info, range(len(dataset))):
            kinds.append(info['kind'])
            assert classify_expression(info['text']) == info['kind'], info['text']
    assert len(kinds) > 1000 and set(kinds) == set(EXPRESSION_KINDS) == set(KINDS)


@pytest.mark.parametrize(('texts', 'place', 'others'), [
    ('red car|man in red shirt|woman holding a racket|chest of drawers|bright light|tall one|player in white|'
     'skier|priest|sweater|clock|', False, False),
    ('left man|TOP|on the left|at 3 o\'clock|leftmost|left-hand one|rightside|biggest|far back|'
     'rear car|man lft|RT guy|lhs|rhs|north|south west|northwest|south-east cow|topleft|lower left|nine o\'clock|9:00|'
     '3oclock|at 10:30', True, False),
    ('2 from left|number 2 from left|two from the left|#3 from right|3 in from the far right|2 from topleft|mid|'
     'centered|centred one|inner ring|outer one', True, True),
    ('bigger|closer one|further one|taller man|the younger|darker than hers|more visible|fuzzier|man away from the bus|'
     'car past the tree|beyond the fence|dog outside the car|bike after the bus|cow touching the fence|number 3|row 2|'
     'sixth one', None, True),
    ('second from left|middle|last cow|closest to the door|center one|3rd man from right|car left of the bus', True,
     True),
    ('cat on the chair|cup by the plate|next to her|the other man|in the central part|under it|same as her', False,
     True),
])
def test_what_expressions_depend_on(texts, place, others):
    for text in texts.split('|'):
        assert (place is None or names_place(text) == place) and needs_others(text) == others, text
