"""Looking for expressions that may mean another object, too."""
from itertools import combinations

import pytest

from mmrefseg.datasets.inspection import _ambiguous, _asked_about_one, samples_of


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


@pytest.mark.parametrize(('several', 'told'), [(0, 20), (1, 19), (2, 0)])
def test_images_asked_about_one_object_alone(several, told):
    """Where nearly all of 20 are, words need not matter."""
    by_image = {f'i/{index}.jpg': {line: {'sentences': [{'text': 'object'}]} for line in range(1 + (index < several))}
                for index in range(20)}
    found = _asked_about_one(by_image)
    assert len(found) == told and set(found) <= {f'{index}.jpg: object' for index in range(20)}


def test_samples_lie_evenly_among_images():
    assert samples_of('abcdefgh', 4) == list('aceg') and samples_of('ab', 4) == list('aabb')
    assert samples_of([], 4) == samples_of('ab', 0) == []
