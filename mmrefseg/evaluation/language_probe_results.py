"""What a model makes of the words: its figures as it is asked, beside those when it is asked otherwise."""
from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np

from mmrefseg.errors import InputError

from .expression_counts import ExpressionCounts
from .functional import (
    Estimate,
    FigureDifference,
    Ratio,
    compare_figures,
    estimate_figures,
    iou_ratios,
)
from .protocols import Protocol

AS_ASKED = 'as it is'
"""Name of the row without a change."""

# Change → shares in percent, each with what is said from it on; see verdicts().
_OF_OWN_MIOU = {
    'permuted': ((90, 'language is ignored'), (50, 'language matters little'), (0, 'language matters')),
    'word-order': ((95, 'the order of words does not matter'), (80, 'the order of words matters little'),
                   (0, 'the order of words matters')),
    'places': ((90, 'words of place are ignored'), (50, 'words of place matter little'),
               (0, 'words of place are followed')),
    'nouns': ((95, 'nouns alone are enough'), (0, 'words beside the nouns help')),
    'empty': ((90, 'no expression is needed'), (50, 'an expression is needed little'), (0, 'an expression is needed')),
}
_ANSWERED = ((90, 'fires on anything'), (10, 'often fires on what is not there'), (0, 'leaves out what is not there'))
_LEAST_MIOU = 5


class Probed(NamedTuple):
    """Figures under one way to ask, in percent: ``mIoU``, ``oIoU``, ``Pr@50`` and ``answered``.

    ``answered`` is the share of expressions for which any pixel is predicted. Truth is that of the samples' own
    expressions throughout, which another question may not mean.

    Args:
        expressions: number of expressions that the change has an effect on.
        images: number of their images.
        figures: when asked so.
        own: of the same expressions as they are.
        differences: ``figures - own``, paired by expression.
    """

    expressions: int
    images: int
    figures: dict[str, Estimate]
    own: dict[str, Estimate]
    differences: dict[str, FigureDifference]


def compare_counts(asked: ExpressionCounts, changed: Mapping[str, ExpressionCounts],
                   protocol: Protocol) -> dict[str, Probed]:
    """Figures of a split as it is asked, and as it is asked otherwise.

    Args:
        asked: what was counted of the split's expressions.
        changed: name of the change → what was counted of those that it has an effect on; their ids are those of
            ``asked``. Changes without expressions are left out.
        protocol: the rules that were counted under.

    Returns:
        ``AS_ASKED`` and the names of changes → figures.

    Raises:
        InputError: a change has an expression that ``asked`` hasn't.
    """
    index_of = {key: index for index, key in enumerate(_keys(asked))}
    ratios = _ratios(asked, protocol)
    rows = {AS_ASKED: _compare(ratios, ratios, asked)}
    for name, counted in changed.items():
        if not len(counted):
            continue
        try:
            same = np.array([index_of[key] for key in _keys(counted)])
        except KeyError as error:
            raise InputError(f'{name} asks about image, ref and sentence {error}, which is not asked about as it is; '
                             'both must be of one split') from error
        own = {key: ratio.of(same) for key, ratio in ratios.items()}
        rows[name] = _compare(_ratios(counted, protocol), own, counted)
    return rows


def _keys(counted: ExpressionCounts) -> list[tuple[Hashable, ...]]:
    return list(zip(counted.images, counted.refs, counted.sents, strict=True))


def _ratios(counted: ExpressionCounts, protocol: Protocol) -> dict[str, Ratio]:
    predicted = counted.counts[:, 1] > 0
    return {**iou_ratios(counted.intersections, counted.unions, (50, ), protocol.empty_union, protocol.comparison),
            'answered': Ratio(predicted, np.ones_like(predicted))}


def _compare(ratios: Mapping[str, Ratio], own: Mapping[str, Ratio], counted: ExpressionCounts) -> Probed:
    return Probed(len(counted), len(set(counted.images)), estimate_figures([ratios], counted.images),
                  estimate_figures([own], counted.images), compare_figures([ratios], [own], counted.images))


def verdicts(rows: Mapping[str, Probed]) -> list[str]:
    """What the figures say, a sentence per change.

    By the share that is kept of the mIoU of the same expressions as they are: with expressions of other images less
    than 50 % is called "language matters", and 90 % and more "language is ignored"; and so on. Of expressions that name
    nothing, 90 % answered is called "fires on anything", less than 10 % "leaves out what is not there". A model whose
    mIoU is below 5 gets no such sentence.

    Args:
        rows: from :func:`compare_counts`.
    """
    own = rows[AS_ASKED].figures.get('mIoU')
    if own is None or own.mean < _LEAST_MIOU:
        return [f'nothing can be told of a model whose mIoU is {0 if own is None else own.mean:.1f}']
    return [sentence for name, row in rows.items() if (sentence := _verdict(name, row))]


def _verdict(name: str, row: Probed) -> str | None:
    if name == 'absent':
        share = row.figures['answered'].mean
        return f'{_said(_ANSWERED, share)}: it answers {share:.0f} % of expressions that name nothing there'
    if name not in _OF_OWN_MIOU or not row.own['mIoU'].mean:
        return None
    own, now = row.own['mIoU'].mean, row.figures['mIoU'].mean
    return f'{_said(_OF_OWN_MIOU[name], 100 * now / own)}: mIoU {now:.1f} instead of {own:.1f} ({name})'


def _said(bounds: tuple[tuple[int, str], ...], share: float) -> str:
    return next(words for bound, words in bounds if share >= bound)
