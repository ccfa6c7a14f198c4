"""Counting pixels of answers from a file, as the metrics count those of a model."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import draw_mask, rle_to_mask

from ..expression_counts import ExpressionCounts
from ..functional import pixel_counts, truth_mask
from ..functional.boundary import boundary_counts
from ..protocols import Protocol
from .prediction import Prediction


class MaskPair(NamedTuple):
    """An answer beside the truth, as protocols see them.

    Args:
        truth: boolean (H, W), the referent on the original image.
        area: its pixels.
        frames: name of the protocol → answer and truth in its frame, boolean.
    """

    truth: Tensor
    area: int
    frames: dict[str, tuple[Tensor, Tensor]]


def mask_pairs(infos: Sequence[Mapping[str, Any]], answers: Sequence[Prediction | None],
               protocols: Sequence[Protocol]) -> Iterator[MaskPair]:
    """Draw answer and truth of one expression after the other; see :func:`count_predictions`.

    Args:
        infos: see there.
        answers: see there.
        protocols: see there.

    Raises:
        InputError: as there.
    """
    drawn = None
    for info, answer in zip(infos, answers, strict=True):
        outline = info['segmentation'], info['height'], info['width']
        if drawn != outline:  # sentences of a referent stand together
            drawn, (area, truth, truths) = outline, _truths(info, protocols)
        masks = answer and _Masks(answer, (info['height'], info['width']))
        yield MaskPair(truth, area, {
            name: (masks.under(protocol) if masks else torch.full_like(of_frame, not area), of_frame)
            for protocol, (name, of_frame) in zip(protocols, truths.items(), strict=True)})


def count_predictions(infos: Sequence[Mapping[str, Any]],
                      answers: Sequence[Prediction | None],
                      protocols: Sequence[Protocol],
                      boundary: bool = False) -> dict[str, ExpressionCounts]:
    """Count the pixels of answers under each protocol.

    An expression without an answer counts as answered by no pixel; where it has no target, which no pixel would answer
    rightly, as answered by the whole image.

    Args:
        infos: expressions as :meth:`BaseReferringDataset.get_data_info` has them.
        answers: one per expression; None where there is none.
        protocols: the rules, of different names.
        boundary: whether to count boundaries, too. Default False.

    Returns:
        Name of the protocol → what was counted.

    Raises:
        InputError: an answer's mask is damaged or of another size, or was made under other protocols alone.
    """
    rows: dict[str, list[list[int]]] = {protocol.name: [] for protocol in protocols}
    areas = []
    for pair in mask_pairs(infos, answers, protocols):
        areas.append(pair.area)
        for name, (mask, truth) in pair.frames.items():
            counts = pixel_counts(mask, truth)
            rows[name].append(
                torch.cat([counts, boundary_counts(mask, truth)]).tolist() if boundary else counts.tolist())
    return {name: counts_of(infos, areas, np.array(counts, np.int64)) for name, counts in rows.items()}


def _truths(info: Mapping[str, Any], protocols: Sequence[Protocol]) -> tuple[int, Tensor, dict[str, Tensor]]:
    """The referent's mask on the image with its pixels, and in each protocol's frame."""
    truth = torch.from_numpy(draw_mask(info['segmentation'], info['height'], info['width'])) != 0
    return int(truth.sum()), truth, {protocol.name: truth_mask(truth, protocol) for protocol in protocols}


def counts_of(infos: Sequence[Mapping[str, Any]], areas: list[int], counts: np.ndarray) -> ExpressionCounts:
    """What was counted, together with what it was counted of.

    Args:
        infos: see :func:`count_predictions`.
        areas: pixels of the referents on the original images.
        counts: (N, 3), or (N, 6) with those of boundaries behind; see :class:`ExpressionCounts`.
    """
    images, refs, sents = ([info.get(key) for info in infos] for key in ('image_id', 'ref_id', 'sent_id'))
    kinds = [info.get('kind') or '' for info in infos]
    lengths = np.array([len(info['text'].split()) for info in infos])
    boundaries = counts[:, 3:] if counts.shape[1] > 3 else None
    return ExpressionCounts(images, refs, sents, kinds, lengths, np.array(areas), counts[:, :3], boundaries)


class _Masks:
    """An answer's masks in the frames of protocols; one on the image is drawn once."""

    def __init__(self, answer: Prediction, size: tuple[int, int]) -> None:
        self._answer, self._size = answer, size
        self._drawn: dict[str | None, Tensor] = {}

    def under(self, protocol: Protocol) -> Tensor:
        """(H, W) of the protocol's frame, boolean."""
        masks, where = self._answer.masks, self._answer.where
        name = protocol.name if protocol.name in masks else None
        if name not in masks:
            raise InputError(f'{where} was made under the protocol {", ".join(map(str, masks))}, and has no mask for '
                             f'{protocol.name}: test the model under it (tools/test.py --protocol {protocol.name} '
                             '--out FILE), or evaluate under the former')
        try:
            return self._draw(name, protocol)
        except InputError as error:
            raise InputError(f'{where}: {error}') from error

    def _draw(self, name: str | None, protocol: Protocol) -> Tensor:
        segmentation, frame = self._answer.masks[name], protocol.frame(*self._size)
        if isinstance(segmentation, dict) and segmentation.get('size') == list(frame) != list(self._size):
            return torch.from_numpy(rle_to_mask(segmentation, *frame)) != 0
        # Otherwise on the image, and stretched as the truth is.
        if name not in self._drawn:
            self._drawn[name] = torch.from_numpy(draw_mask(segmentation, *self._size)) != 0
        return truth_mask(self._drawn[name], protocol)
