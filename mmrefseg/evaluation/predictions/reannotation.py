"""Other masks of truth for expressions of a data set, from a file in the formats of predictions."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmrefseg.errors import InputError

from ..functional import iou_ratios, percentages
from ..protocols import PROTOCOLS
from .counting import count_predictions
from .prediction import Prediction


class Reannotated(NamedTuple):
    """The expressions that have another mask of truth.

    Args:
        indices: theirs among all.
        infos: the expressions, with that mask as their ``segmentation``.
        agreement: mIoU of the published masks with the others, in percent.
    """

    indices: list[int]
    infos: list[dict[str, Any]]
    agreement: float


def reannotate(infos: Sequence[Mapping[str, Any]], masks: Sequence[Prediction | None]) -> Reannotated | None:
    """Take the truth of expressions from a file.

    Args:
        infos: expressions as :meth:`BaseReferringDataset.get_data_info` has them.
        masks: one per expression, as :func:`~.matching.match_predictions` finds them; None where the file has none.

    Returns:
        The expressions with other masks; None where there are none.

    Raises:
        InputError: a mask is damaged, or not of the image's size.
    """
    indices = [index for index, mask in enumerate(masks) if mask is not None]
    if not indices:
        return None
    changed = [{**infos[index], 'segmentation': _mask_on_image(mask)} for index, mask in enumerate(masks) if mask]
    # An empty mask that agrees with an empty one is as good as any other.
    protocol = PROTOCOLS['lisa']
    counted = count_predictions([infos[index] for index in indices], [masks[index] for index in indices],
                                [protocol])[protocol.name]
    figures = percentages(iou_ratios(counted.intersections, counted.unions, (), protocol.empty_union))
    return Reannotated(indices, changed, figures['mIoU'])


def _mask_on_image(mask: Prediction) -> Any:
    if None not in mask.masks:
        raise InputError(f'{mask.where} was made under the protocol {", ".join(map(str, mask.masks))}; a mask of truth '
                         "is on the image, and its entry has no 'protocol'")
    return mask.masks[None]
