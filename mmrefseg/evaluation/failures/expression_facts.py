"""What is known of each expression and its answer."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmrefseg.datasets.base_referring_dataset import AnnotatedObject
from mmrefseg.datasets.expression_kind import classify_expression
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import draw_mask
from mmrefseg.structures.mask_position import position_of
from mmrefseg.utils.field_checks import key_of

from ..expression_counts import ExpressionCounts, unions_of
from ..functional import pixel_counts, truth_mask
from ..predictions import Prediction
from ..predictions.counting import MaskPair, counts_of, mask_pairs
from ..protocols import Protocol
from .failure_classes import MISSING, classify_failure
from .threshold_sweep import ThresholdSweep

Objects = Mapping[str, Sequence[AnnotatedObject]]

_MOST_PIXELS = 1 << 31  # of all masks of an image


@dataclass(frozen=True)
class Facts:
    """Of N expressions, in the order of the data set.

    Args:
        counted: what was counted.
        ious: (N, ), IoU from 0 to 1; 1 where nothing is there and nothing is answered.
        failures: class of the failure; None for an answer that is good enough.
        positions: where on the image the referent lies; ``''`` without one.
        same_category: other objects of the referent's category on its image; None where annotations don't tell.
        kinds: how each expression refers.
        kinds_are_given: whether the data say so; otherwise lists of words did.
        sweep: figures at other thresholds; without expressions where no probabilities are stored.
    """

    counted: ExpressionCounts
    ious: np.ndarray
    failures: list[str | None]
    positions: list[str]
    same_category: list[int | None]
    kinds: list[str]
    kinds_are_given: bool
    sweep: ThresholdSweep


def collect_facts(infos: Sequence[Mapping[str, Any]], answers: Sequence[Prediction | None], objects: Objects,
                  protocol: Protocol, min_pixels: int = 1) -> Facts:
    """Look at each answer beside the truth.

    Args:
        infos: expressions as :meth:`BaseReferringDataset.get_data_info` has them.
        answers: one per expression; None where there is none.
        objects: what is annotated on each image, as :meth:`BaseReferringDataset.objects` has it.
        protocol: the rules under which they meet.
        min_pixels: an answer of fewer pixels is none. Default 1.

    Raises:
        InputError: an answer's mask or probability is damaged, or a mask is of another size, or was made under other
            protocols alone; or so much is annotated on an image that its masks would take the memory.
    """
    others = _Others(objects, protocol)
    sweep = ThresholdSweep(protocol.empty_union)
    rows, areas, failures, positions = [], [], [], []
    referent, position = None, ''
    for info, answer, pair in zip(infos, answers, mask_pairs(infos, answers, [protocol]), strict=True):
        mask, truth = pair.frames[protocol.name]
        rows.append(pixel_counts(mask, truth).tolist())
        areas.append(pair.area)
        failures.append(_failure(rows[-1], info, answer, pair, others, protocol, min_pixels))
        if pair.truth is not referent:
            referent, position = pair.truth, position_of(pair.truth.numpy())
        positions.append(position)
        sweep.add(answer, pair)
    by_category = ids_by_category(objects)
    given = any(info.get('kind') for info in infos)
    kinds = [info.get('kind') or ('' if given else classify_expression(info['text'])) for info in infos]
    counts = np.array(rows, np.int64)
    return Facts(counts_of(infos, areas, counts), _ious(counts, min_pixels), failures, positions,
                 [same_category(info, by_category) for info in infos], kinds, given, sweep)


def _ious(counts: np.ndarray, min_pixels: int) -> np.ndarray:
    counts = counts * np.where(counts[:, 1] >= min_pixels, 1, [[0], [0], [1]]).T
    unions = unions_of(counts)
    return np.where(unions == 0, 1, counts[:, 0] / np.maximum(unions, 1))


def _failure(counts: Sequence[int], info: Mapping[str, Any], answer: Prediction | None, pair: MaskPair, others: _Others,
             protocol: Protocol, min_pixels: int) -> str | None:
    if answer is None:
        return MISSING
    shared, answered, area = counts
    if answered >= min_pixels and 2 * shared > answered + area - shared:
        return None  # told without drawing the other objects
    mask, truth = (part.numpy() for part in pair.frames[protocol.name])
    return classify_failure(mask, truth, others.masks(info) if shared < answered else (), min_pixels)


class _Others:
    """Masks of all objects on an image in the protocol's frame; those of the last image are kept."""

    def __init__(self, objects: Objects, protocol: Protocol) -> None:
        self._objects, self._protocol = objects, protocol
        self._image: Any = None
        self._masks: list[np.ndarray] = []

    def masks(self, info: Mapping[str, Any]) -> list[np.ndarray]:
        if info['image_id'] != self._image:
            self._image = info['image_id']
            objects, height, width = self._objects.get(key_of(info['image_id']), ()), info['height'], info['width']
            if len(objects) * height * width > _MOST_PIXELS:
                raise InputError(f'{info["img_path"]}: {len(objects)} objects are annotated on its {height} x {width} '
                                 'pixels; their masks would take the memory. Remove those that nobody needs.')
            drawn = (draw_mask(found.segmentation, height, width) for found in objects)
            self._masks = [truth_mask(torch.from_numpy(mask), self._protocol).numpy() for mask in drawn]
        return self._masks


def ids_by_category(objects: Objects) -> dict[tuple[str, str], set[str]]:
    """Ids of annotations by image and category; all of them as keys.

    Args:
        objects: what is annotated on each image.
    """
    ids = defaultdict(set)
    for image, of_image in objects.items():
        for found in of_image:
            ids[image, key_of(found.category_id)].add(key_of(found.ann_id))
    return ids


def same_category(info: Mapping[str, Any], by_category: Mapping[tuple[str, str], set[str]]) -> int | None:
    """How many other objects of the referent's category are on its image; None where annotations don't tell.

    Args:
        info: the expression.
        by_category: what is annotated, as :func:`ids_by_category` has it.
    """
    category = info.get('category_id') or 0
    if category < 1:
        return None
    there = by_category.get((key_of(info['image_id']), key_of(category)), set())
    return len(there.difference(map(key_of, info.get('ann_ids') or [info['ann_id']])))
