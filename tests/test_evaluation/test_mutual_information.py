"""Mutual information and preferences by hand, and against chance."""
import numpy as np
import pytest

from mmrefseg.evaluation.functional import information, preferences

COINS = np.random.default_rng(3).integers(2, size=200)


def test_bits_by_hand():
    assert information([0, 0, 1, 1], 'aabb').bits == pytest.approx(1)
    assert information([0, 1, 0, 1], 'aabb').bits == pytest.approx(0)
    # joint 1/2, 1/4, 1/4: H(choice) + H(label) - H(both) = 2 · 0.811278 - 1.5
    assert information([0, 0, 0, 1], 'aabb').bits == pytest.approx(0.311278, abs=1e-6)
    assert information([2, 2, 2], 'xyz').bits == 0


def test_what_depends_is_told_from_what_does_not():
    dependent = information(COINS, [f'kind {value}' for value in COINS])
    assert dependent.bits == pytest.approx(1, abs=0.02) and dependent.p == 1 / 1000
    independent = information(COINS, np.random.default_rng(4).integers(2, size=200).tolist())
    assert independent.p > 0.05
    assert 0 < independent.chance < 0.02


def test_many_labels_show_information_by_chance():
    """Two samples per label: much information, and just as much in any other order."""
    found = information(COINS, [i // 2 for i in range(200)])
    assert found.bits > 0.3 and abs(found.bits - found.chance) < 0.15 and found.p > 0.01


def test_labels_change_places_within_their_keys_only():
    """Here pictures decide on the choice and on the label: the label has nothing to do with it."""
    pictures = [i // 2 for i in range(200)]
    choices = labels = [picture % 2 for picture in pictures]
    assert information(choices, labels).p == 1 / 1000
    assert information(choices, labels, within=pictures).p == 1
    row = preferences(np.eye(2)[choices], labels, within=pictures)
    assert all(found.p == 1 and found.difference == pytest.approx(0) for found in row[0])


def test_preferences():
    generator = np.random.default_rng(5)
    values = generator.normal(size=(300, 3))
    labels = ['likes' if i % 3 == 0 else 'other' for i in range(300)]
    values[::3, 1] += 0.8
    found = preferences(values, labels)
    assert list(found) == ['likes', 'other'] and len(found['likes']) == 3
    assert found['likes'][1].p == 1 / 1000 and found['other'][1].p == 1 / 1000
    assert found['likes'][1].difference == pytest.approx(
        values[::3, 1].mean() - values[:, 1].mean(), abs=0.02)
    assert min(found['likes'][0].p, found['likes'][2].p) > 0.05


def test_many_columns_do_not_make_a_preference():
    """The smallest of 40 single p values would be below 0.05 nearly always; p counts all columns."""
    values = np.random.default_rng(6).normal(size=(100, 20))
    found = preferences(values, ['a', 'b'] * 50, permutations=199)
    assert min(preference.p for row in found.values() for preference in row) > 0.05


@pytest.mark.parametrize(('choices', 'labels', 'within'), [([], [], None), ([0, 1], ['a'], None), ([0], ['a'], [1, 2])])
def test_as_many_of_each(choices, labels, within):
    with pytest.raises(ValueError, match='as many of each'):
        information(choices, labels, within)
    with pytest.raises(ValueError, match='as many of each'):
        preferences(np.ones((len(choices), 2)), labels, within)
