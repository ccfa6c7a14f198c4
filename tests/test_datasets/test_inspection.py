"""Looking for expressions that may mean another object, too."""
from itertools import combinations

from mmrefseg.datasets.inspection import _ambiguous


def test_a_shorter_expression_may_mean_a_longer_one():
    lines_of = {'the cup': [1], 'the red cup': [2], 'the left cup': [3], 'red big cup': [4], 'dog': [5], 'the': [6]}
    assert list(_ambiguous(lines_of)) == [('the cup', 1, 'the red cup', 2), ('the red cup', 2, 'red big cup', 4),
                                          ('the', 6, 'the cup', 1)]


class Words(frozenset):
    """Counts how often sets are compared."""
    compared = 0

    def __lt__(self, other):
        Words.compared += 1
        return super().__lt__(other)

    def __sub__(self, other):
        return self


def test_thousands_of_expressions_of_one_image(monkeypatch):
    """All have the same number of words, so that none is within another: each would be compared with all."""
    monkeypatch.setattr('mmrefseg.datasets.inspection.frozenset', Words, raising=False)
    monkeypatch.setattr('mmrefseg.datasets.inspection._MOST_COMPARED', 20)
    lines_of = {' '.join(words): [line] for line, words in enumerate(combinations('abcdefghijkl', 6))}
    assert len(lines_of) == 924 and list(_ambiguous(lines_of)) == []
    assert Words.compared <= 20 * len(lines_of)
