"""What other thresholds would give, from the small pictures of probabilities that a file may hold."""
from __future__ import annotations

from base64 import b64decode
from binascii import Error
from io import BytesIO
from typing import Any, Literal

import cv2
import numpy as np

from mmrefseg.datasets.transforms.loading import decode_image
from mmrefseg.errors import InputError
from mmrefseg.utils.image_header import read_image_size

from ..functional import iou_ratios, percentages
from ..predictions import Prediction
from ..predictions.counting import MaskPair

SWEPT_THRESHOLDS = tuple(range(5, 100, 5))  # percent

_LARGEST = 1024  # pixels a side; tools/test.py writes 96, and a few bytes can be a hundred million


class ThresholdSweep:
    """mIoU and oIoU at thresholds of the probability, on the original image.

    Never to be reported: the best of many thresholds on the data that are evaluated is too good, and the pictures are
    small and of 8 bits.

    Args:
        empty_union: IoU of an expression where nothing is there and nothing is answered, or ``'skip'``.
    """

    def __init__(self, empty_union: Literal[0, 1, 'skip']) -> None:
        self._empty_union = empty_union
        self._counts: list[np.ndarray] = []

    def add(self, answer: Prediction | None, pair: MaskPair) -> None:
        """Count an expression, if its probabilities are there.

        Args:
            answer: with ``probability`` in its entry: an 8-bit grey PNG in base64.
            pair: with the truth.

        Raises:
            InputError: the picture is damaged.
        """
        picture = None if answer is None else answer.entry.get('probability')
        if answer is None or picture is None:
            return
        small = read_probability(picture, answer.where)
        truth = pair.truth.numpy()
        large = cv2.resize(small, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        histograms = [np.bincount(values, minlength=256) for values in (large[truth], large.ravel())]
        # Pixels of at least each value: of the truth, and of all.
        above = [histogram[::-1].cumsum()[::-1] for histogram in histograms]
        cuts = [255 * threshold // 100 + 1 for threshold in SWEPT_THRESHOLDS]
        shared, answered = (counts[cuts] for counts in above)
        self._counts.append(np.stack([shared, answered + pair.area - shared]))

    def __len__(self) -> int:
        return len(self._counts)

    def figures(self) -> list[dict[str, float]]:
        """``threshold``, ``mIoU`` and ``oIoU`` in percent, one per threshold; none without probabilities."""
        if not self._counts:
            return []
        shared, unions = np.stack(self._counts, axis=-1)  # thresholds, expressions
        return [{'threshold': threshold, **percentages(iou_ratios(*counts, (), self._empty_union))}
                for threshold, counts in zip(SWEPT_THRESHOLDS, zip(shared, unions, strict=True), strict=True)]


def read_probability(picture: Any, where: str) -> np.ndarray:
    """Probabilities that a file holds as a picture; uint8 (h, w), 255 for 1.

    Args:
        picture: an 8-bit grey PNG in base64.
        where: file and entry, for messages.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(picture, str):
        raise InputError(f"{where}: 'probability' must be an 8-bit grey PNG in base64, got an object of type "
                         f'{type(picture).__name__}')
    try:
        content = b64decode(picture, validate=True)
    except (Error, ValueError) as error:
        raise InputError(f"{where}: 'probability' must be an 8-bit grey PNG in base64: {error}") from error
    try:
        height, width = read_image_size(BytesIO(content))
    except InputError as error:
        raise InputError(f"'probability' of {where}: {error}") from error
    if max(height, width) > _LARGEST:
        raise InputError(f"{where}: 'probability' is {width} x {height} pixels; at most {_LARGEST} a side are read")
    return np.ascontiguousarray(decode_image(content, f"'probability' of {where}")[:, :, 0])
