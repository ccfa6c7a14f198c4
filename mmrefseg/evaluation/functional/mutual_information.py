"""Whether choices go with labels: mutual information, and preferences, against permuted labels."""
from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mmrefseg.errors import InputError

from .expression_groups import group_numbers

PERMUTATIONS = 999


class Information(NamedTuple):
    """What labels tell about choices.

    Args:
        bits: mutual information of choice and label, as counted.
        chance: its mean over the permutations: few samples per label show some where there is none.
        p: share of the permutations, the labels' own order among them, that show as much.
    """

    bits: float
    chance: float
    p: float


class Preference(NamedTuple):
    """How much more one label's samples have of something than chance gives them.

    Args:
        difference: mean of the label's samples less what it is on average over the permutations.
        p: share of the permutations, the labels' own order among them, in which any label differs as much in any
            column, in standard deviations: many labels and columns don't make a preference.
    """

    difference: float
    p: float


def mutual_information(choices: np.ndarray, labels: np.ndarray) -> float:
    """Mutual information of two columns, in bits.

    Args:
        choices: (N, ), integers from 0.
        labels: (N, ), integers from 0.
    """
    joint = np.zeros((choices.max() + 1, labels.max() + 1))
    np.add.at(joint, (choices, labels), 1 / len(labels))
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())


def information(choices: Sequence[int], labels: Sequence[Hashable], within: Sequence[Hashable] | None = None,
                permutations: int = PERMUTATIONS) -> Information:
    """Mutual information of choice and label, and how often chance alone gives as much.

    Args:
        choices: N integers from 0.
        labels: N labels.
        within: N keys; labels change places only between samples of equal keys, so that what the key itself brings
            about is no sign of the label. Default None: between all samples.
        permutations: how many, the labels' own order not counted. Default 999.

    Returns:
        The information; always the same for the same samples.

    Raises:
        InputError: there are no samples, or not as many of one thing as of another.
    """
    chosen, own, strata = np.asarray(choices, np.int64), group_numbers(labels), _strata(labels, within)
    _check(len(chosen), len(own), len(strata))
    found = mutual_information(chosen, own)
    by_chance = np.array([mutual_information(chosen, permuted) for permuted in _permuted(own, strata, permutations)])
    return Information(found, float(by_chance.mean()), _share(by_chance >= found - 1e-12))


def preferences(values: np.ndarray, labels: Sequence[Hashable], within: Sequence[Hashable] | None = None,
                permutations: int = PERMUTATIONS) -> dict[Hashable, list[Preference]]:
    """Which labels have more, or less, of which column than chance gives them.

    Args:
        values: (N, E), such as the weights of E experts.
        labels: N labels.
        within: as in :func:`information`. Default None.
        permutations: as in :func:`information`. Default 999.

    Returns:
        Label, in the order in which they first appear → one for each column.

    Raises:
        InputError: as in :func:`information`.
    """
    values, own, strata = np.asarray(values, np.float64), group_numbers(labels), _strata(labels, within)
    _check(len(values), len(own), len(strata))
    members = np.bincount(own)[:, None]

    def means(order: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(order, column, len(members)) for column in values.T], axis=1) / members

    by_chance = np.stack([means(permuted) for permuted in _permuted(own, strata, permutations)])
    differences = np.concatenate((means(own)[None], by_chance)) - by_chance.mean(axis=0)
    # What no permutation changes, such as a label that has whole keys for itself, differs by rounding errors only.
    spread = np.maximum(by_chance.std(axis=0), 1e-9)
    scores = np.abs(differences) / spread
    extremes = scores[1:].max(axis=(1, 2))
    return {
        label: [Preference(float(differences[0, row, column]), _share(extremes >= scores[0, row, column]))
                for column in range(values.shape[1])]
        for row, label in enumerate(dict.fromkeys(labels))
    }


def _strata(labels: Sequence[Hashable], within: Sequence[Hashable] | None) -> np.ndarray:
    return np.zeros(len(labels), np.int64) if within is None else group_numbers(within)


def _check(*lengths: int) -> None:
    if min(lengths) == 0 or len(set(lengths)) > 1:
        raise InputError(f'there are {" and ".join(map(str, lengths))} choices, labels and keys; there must be as many '
                         'of each, and at least one')


def _permuted(labels: np.ndarray, strata: np.ndarray, times: int) -> Iterator[np.ndarray]:
    """The labels in other orders, each within its stratum."""
    generator = np.random.default_rng(0)
    places = np.argsort(strata, kind='stable')
    for _ in range(times):
        permuted = np.empty_like(labels)
        permuted[places] = labels[np.lexsort((generator.random(len(labels)), strata))]
        yield permuted


def _share(as_extreme: np.ndarray) -> float:
    return float((1 + as_extreme.sum()) / (1 + len(as_extreme)))
