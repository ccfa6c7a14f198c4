"""Counting pixels of answers from a file, as the metrics count those of a model."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.structures.masks import Segmentation, draw_mask, rle_to_mask

from ..functional import pixel_counts, truth_mask
from ..functional.boundary import boundary_counts
from ..protocols import Protocol
from ..scores import Scores
from .prediction import Prediction


def score_predictions(infos: Sequence[Mapping[str, Any]],
                      answers: Sequence[Prediction | None],
                      protocols: Sequence[Protocol],
                      boundary: bool = False) -> dict[str, Scores]:
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
    areas, drawn = [], (None, None)
    for info, answer in zip(infos, answers, strict=True):
        if info['segmentation'] != drawn[0]:  # sentences of a referent stand together
            drawn = info['segmentation'], _truths(info, protocols)
        area, truths = drawn[1]
        areas.append(area)
        for protocol in protocols:
            truth = truths[protocol.name]
            if answer is None:
                mask = torch.full_like(truth, not area)
            else:
                mask = _mask(answer, protocol, (info['height'], info['width']))
            counts = pixel_counts(mask, truth)
            rows[protocol.name].append(
                torch.cat([counts, boundary_counts(mask, truth)]).tolist() if boundary else counts.tolist())
    return {name: _scores(infos, areas, np.array(counts, np.int64)) for name, counts in rows.items()}


def _truths(info: Mapping[str, Any], protocols: Sequence[Protocol]) -> tuple[int, dict[str, Tensor]]:
    """Pixels of the referent on the image, and its mask in each protocol's frame."""
    truth = torch.from_numpy(draw_mask(info['segmentation'], info['height'], info['width'])) != 0
    return int(truth.sum()), {protocol.name: truth_mask(truth, protocol) for protocol in protocols}


def _scores(infos: Sequence[Mapping[str, Any]], areas: list[int], counts: np.ndarray) -> Scores:
    keys = (('image_id', 'ref_id', 'sent_id', 'kind'))
    images, refs, sents, kinds = ([info.get(key) for info in infos] for key in keys)
    lengths = np.array([len(info['text'].split()) for info in infos])
    boundaries = counts[:, 3:] if counts.shape[1] > 3 else None
    return Scores(images, refs, sents, kinds, lengths, np.array(areas), counts[:, :3], boundaries)


def _mask(answer: Prediction, protocol: Protocol, size: tuple[int, int]) -> Tensor:
    """The answer's mask in a protocol's frame, boolean."""
    name = protocol.name if protocol.name in answer.masks else None
    if name not in answer.masks:
        raise InputError(f'{answer.where} was made under the protocol {", ".join(map(str, answer.masks))}, and has no '
                         f'mask for {protocol.name}: test the model under it (tools/test.py --protocol '
                         f'{protocol.name} --out FILE), or evaluate under the former')
    try:
        return _draw(answer.masks[name], protocol, size)
    except InputError as error:
        raise InputError(f'{answer.where}: {error}') from error


def _draw(segmentation: Segmentation, protocol: Protocol, size: tuple[int, int]) -> Tensor:
    frame = protocol.frame(*size)
    if isinstance(segmentation, dict) and 'counts' in segmentation and segmentation.get('size') == list(frame):
        return torch.from_numpy(rle_to_mask(segmentation, *frame)) != 0
    # Otherwise on the image, and stretched as the truth is.
    return truth_mask(torch.from_numpy(draw_mask(segmentation, *size)) != 0, protocol)
