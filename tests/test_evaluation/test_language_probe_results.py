import numpy as np
import pytest

from mmrefseg.errors import InputError
from mmrefseg.evaluation.expression_counts import ExpressionCounts
from mmrefseg.evaluation.language_probe_results import AS_ASKED, compare_counts, verdicts
from mmrefseg.evaluation.protocols import PROTOCOLS

CRIS = PROTOCOLS['cris']


def expression_counts(counts, sents=None):
    """Of expressions of 100 pixels, two per image: pixels that are shared, and predicted."""
    sents = range(len(counts)) if sents is None else sents
    rows = np.array([(shared, predicted, 100) for shared, predicted in counts], np.int64).reshape(-1, 3)
    return ExpressionCounts([sent // 2 for sent in sents], [0] * len(rows), list(sents), [''] * len(rows),
                            np.ones(len(rows), int), np.full(len(rows), 100), rows)


def probed(**changes):
    """Four expressions, answered with an IoU of 1, 1, 0.6 and 0."""
    return compare_counts(expression_counts([(100, 100), (100, 100), (60, 60), (0, 50)]), changes, CRIS)


def test_figures_by_hand():
    rows = probed(places=expression_counts([(0, 0), (50, 50)], [3, 0]), nouns=expression_counts([]))
    assert list(rows) == [AS_ASKED, 'places']
    own, row = rows[AS_ASKED], rows['places']
    assert (own.expressions, own.images, row.expressions, row.images) == (4, 2, 2, 2)
    assert {name: figure.mean for name, figure in own.figures.items()} == pytest.approx(
        {'mIoU': 65, 'oIoU': 100 * 260 / 450, 'Pr@50': 75, 'answered': 100})
    assert own.figures == own.own and own.differences['mIoU'].mean == 0
    assert {name: figure.mean for name, figure in row.figures.items()} == pytest.approx(
        {'mIoU': 25, 'oIoU': 25, 'Pr@50': 0, 'answered': 50})
    assert row.own['mIoU'].mean == pytest.approx(50), 'of expressions 3 and 0'
    assert row.differences['mIoU'].mean == pytest.approx(-25)
    assert row.differences['answered'].mean == pytest.approx(-50)
    assert row.differences['mIoU'].low < -25 < row.differences['mIoU'].high


def test_expressions_of_another_split_are_refused():
    with pytest.raises(InputError, match='places asks about image, ref and sentence'):
        probed(places=expression_counts([(0, 0)], [9]))


@pytest.mark.parametrize(('change', 'counts', 'expected'), [
    ('permuted', [(100, 100), (100, 100), (35, 35), (0, 9)], 'language is ignored: mIoU 58.8 instead of 65.0'),
    ('permuted', [(100, 100), (31, 31), (0, 9), (0, 9)], 'language matters little'),
    ('permuted', [(100, 100), (29, 29), (0, 9), (0, 9)], 'language matters:'),
    ('absent', [(0, 1), (0, 1), (0, 1), (0, 1)], 'fires on anything: it answers 100 %'),
    ('absent', [(0, 1), (0, 0), (0, 0), (0, 0)], 'often fires on what is not there: it answers 25 %'),
    ('absent', [(0, 0), (0, 0), (0, 0), (0, 0)], 'leaves out what is not there: it answers 0 %'),
    ('word-order', [(100, 100), (100, 100), (60, 60), (0, 0)], 'the order of words does not matter'),
    ('places', [(0, 0), (0, 0), (60, 60), (0, 0)], 'words of place are followed'),
    ('empty', [(100, 100), (0, 0), (60, 60), (0, 0)], 'an expression is needed little'),
])
def test_verdicts(change, counts, expected):
    sentence, = verdicts(probed(**{change: expression_counts(counts)}))
    assert sentence.startswith(expected)


def test_nothing_is_said_of_a_model_that_finds_nothing():
    rows = compare_counts(expression_counts([(0, 9), (4, 4)]), {'permuted': expression_counts([(0, 9), (4, 4)])}, CRIS)
    assert verdicts(rows) == ['nothing can be told of a model whose mIoU is 2.0']
