"""What was counted of each expression, from which all figures follow."""
from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mmrefseg.errors import InputError

from .functional import Ratio, group_expressions
from .functional.expression_groups import Grouping
from .protocols import Protocol


@dataclass(frozen=True)
class ExpressionCounts:
    """What was counted of N expressions under one protocol.

    Args:
        images: a key per expression; those with equal keys are about the same image.
        refs: a key of the referent per expression, unique within the image; None where unknown.
        sents: ``sent_id`` per expression; None where unknown.
        kinds: how each expression refers; ``''`` where unknown.
        lengths: (N, ), words.
        areas: (N, ), pixels of the referent on the original image.
        counts: (N, 3), pixels that prediction and truth share, of the prediction, and of the truth.
        boundary_counts: (N, 3), the same of their boundaries. Default None: not counted.
    """

    images: Sequence[Hashable]
    refs: Sequence[Hashable]
    sents: Sequence[int | None]
    kinds: Sequence[str]
    lengths: np.ndarray
    areas: np.ndarray
    counts: np.ndarray
    boundary_counts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def intersections(self) -> np.ndarray:
        """Pixels of the intersection of each expression, (N, )."""
        return self.counts[:, 0]

    @property
    def unions(self) -> np.ndarray:
        """Pixels of the union of each expression, (N, )."""
        return unions_of(self.counts)


def unions_of(counts: np.ndarray) -> np.ndarray:
    """Unions in pixels; (N, ).

    Args:
        counts: (N, 3), pixels that prediction and truth share, of the prediction, and of the truth.
    """
    return counts[:, 1] + counts[:, 2] - counts[:, 0]


def extend_ratios(ratios: dict[str, Ratio], counted: ExpressionCounts, protocol: Protocol,
                  by: Sequence[Grouping]) -> dict[str, Ratio]:
    """Add the figures of groups to a metric's own, and leave out sentences that a protocol leaves out.

    Args:
        ratios: the metric's own figures of all expressions.
        counted: what was counted.
        protocol: its choice of sentences.
        by: groups whose figures are added, named ``size=small/mIoU``.
    """
    if protocol.sentences == 'first':
        ratios = _masked(ratios, _first_sentences(counted))
    groups = group_expressions(by, counted.kinds, counted.areas, counted.lengths)
    return ratios | {f'{group}/{name}': ratio for group, members in groups.items()
                     for name, ratio in _masked(ratios, members).items()}


def _masked(ratios: dict[str, Ratio], members: np.ndarray) -> dict[str, Ratio]:
    return {name: Ratio(*(part * members for part in ratio)) for name, ratio in ratios.items()}


def _first_sentences(counted: ExpressionCounts) -> np.ndarray:
    """Whether each expression is its referent's of the lowest id; (N, ), boolean."""
    if None in counted.refs or None in counted.sents:
        raise InputError("sentences='first' needs ref_id and sent_id of every expression, which these samples lack; "
                         "use a protocol with sentences='every'")
    keys = list(zip(counted.images, counted.refs, strict=True))
    sents = [sent for sent in counted.sents if sent is not None]
    lowest: dict[tuple, int] = {}
    for key, sent in zip(keys, sents, strict=True):
        lowest[key] = min(sent, lowest.get(key, sent))
    return np.array([lowest[key] == sent for key, sent in zip(keys, sents, strict=True)], bool)
