"""What a model answers to one expression about one image."""
from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.evaluation.functional.calibration import Calibration
from mmrefseg.structures import cris_scores
from mmrefseg.structures.mask_formats import mask_to_rle
from mmrefseg.structures.mask_splitting import split_mask
from mmrefseg.structures.overlap_estimate import expected_overlap
from mmrefseg.utils.files import write_atomically
from mmrefseg.visualization.answer_pictures import Panel, compose_answers

from .image_sources import ImageSource

_MASK_KINDS = ('.png', '.bmp', '.tif', '.tiff')


def outer_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The outer outlines of a mask, one per connected part; holes are ignored.

    Args:
        mask: bool (H, W).

    Returns:
        int32 (N, 2) each, x and y of its outermost pixels.
    """
    outlines = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    return [outline[:, 0] for outline in outlines]


@dataclass(frozen=True, eq=False)
class RefSegResult:
    """An answer. It holds the network's small map of logits; everything else is computed when it is asked for.

    Args:
        expression: the expression, as asked.
        image: where the image is from; read again to draw or crop.
        size: height and width of the upright image in pixels.
        threshold: probability that a pixel of the mask exceeds.
        logits: float32 (h, w), in the frame of the network's input.
        input_size: height and width of that input in pixels.
        warp_matrix: (2, 3), maps the image's to the input's pixel coordinates (x, y).
        calibration: what makes a confidence of an expected overlap. Default None: the model was never calibrated.
    """

    expression: str
    image: ImageSource
    size: tuple[int, int]
    threshold: float
    logits: Tensor
    input_size: tuple[int, int]
    warp_matrix: np.ndarray
    calibration: Calibration | None = None

    def __repr__(self) -> str:
        return (f'RefSegResult({self.expression!r}, image_path={self.image_path!r}, score={self.score:.3f}, '
                f'box={self.box})')

    @property
    def image_path(self) -> str | None:
        """The image's file or address, as given; None where it was given itself."""
        return self.image.path

    @property
    def probability(self) -> np.ndarray:
        """float32 (H, W), 0 to 1, at the image's own size; computed anew each time, as it is large."""
        return cris_scores(self.logits, self.input_size, self.warp_matrix, self.size).clip(0, 1)

    @cached_property
    def _packed(self) -> tuple[np.ndarray, float]:
        """The mask at an eighth of its size, and the score."""
        probability = self.probability
        mask = probability > self.threshold
        return np.packbits(mask), float(probability[mask].mean(dtype=np.float64)) if mask.any() else 0.0

    @property
    def mask(self) -> np.ndarray:
        """bool (H, W), True on the referent, at the upright image's own size."""
        height, width = self.size
        return np.unpackbits(self._packed[0], count=height * width).reshape(height, width).astype(bool)

    @property
    def score(self) -> float:
        """Mean probability of the mask's pixels, 0 to 1; 0 where the mask is empty."""
        return self._packed[1]

    @cached_property
    def confidence(self) -> float | None:
        """Probability, 0 to 1, that the mask overlaps the referent by half (IoU); 0 where the mask is empty.

        None where the config has no ``model.test_cfg.calibration``, which ``mmrefseg calibrate`` finds.
        """
        if self.calibration is None:
            return None
        return float(self.calibration([expected_overlap(self.logits, self.threshold)])[0])

    def instances(self, by: str = 'components', min_pixels: int = 1) -> list[np.ndarray]:
        """The mask taken apart, where an expression means several things.

        Args:
            by: ``'components'``, or ``'watershed'``, which also parts things that touch. Default ``'components'``.
            min_pixels: parts of fewer pixels are left out. Default 1.

        Returns:
            Masks (H, W), bool, the largest first.

        Raises:
            InputError: there is no such way.
        """
        return split_mask(self.mask, by, min_pixels)

    @cached_property
    def box(self) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom of the mask in pixels, so that ``image[top:bottom, left:right]`` holds all of it."""
        mask = self.mask
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @cached_property
    def polygons(self) -> list[np.ndarray]:
        """The mask's outer outlines: int32 (N, 2), x and y of their outermost pixels; holes are left out."""
        return outer_outlines(self.mask)

    @cached_property
    def rle(self) -> dict[str, Any]:
        """The mask as COCO's RLE: ``size`` [H, W] and ``counts``, a string."""
        return mask_to_rle(self.mask)

    def to_dict(self) -> dict[str, Any]:
        """What can be written as JSON: expression, image_path, size, threshold, score, confidence, box and rle."""
        box = None if self.box is None else list(self.box)
        return dict(expression=self.expression, image_path=self.image_path, size=list(self.size),
                    threshold=self.threshold, score=self.score, confidence=self.confidence, box=box, rle=self.rle)

    def caption(self) -> str:
        """Score and expression, as they stand above a picture."""
        return f'{self.score:.2f}  {self.expression}'

    def plot(self) -> Image.Image:
        """The image with the mask outlined and all else faded, at most 1440 pixels wide; a picture of Pillow."""
        return compose_answers([Panel(self.image.read(), self.mask, self.caption())])

    def crop(self, margin: float = 0.0) -> Image.Image | None:
        """Cut the referent's box out of the image.

        Args:
            margin: what to add on each side, as a share of the box's larger side. Default 0.0.

        Returns:
            A picture of Pillow, RGB; None where the mask is empty.

        Raises:
            InputError: ``margin`` is negative.
        """
        if not 0 <= margin < float('inf'):
            raise InputError(f'margin must be 0 or larger, got {margin}')
        if self.box is None:
            return None
        left, top, right, bottom = self.box
        extra = round(margin * max(right - left, bottom - top))
        (height, width), image = self.size, self.image.read()
        return Image.fromarray(image[max(top - extra, 0):min(bottom + extra, height),
                                     max(left - extra, 0):min(right + extra, width)])

    def save(self, path: str | Path) -> None:
        """Write the mask as an image, 255 on the referent, or the whole answer as JSON; ``plot().save`` draws.

        Args:
            path: ending in ``.png``, ``.bmp``, ``.tif``, ``.tiff``, or ``.json`` for :meth:`to_dict`.

        Raises:
            InputError: it ends otherwise.
            FileError: it cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == '.json':
            content = json.dumps(self.to_dict(), ensure_ascii=False).encode('utf-8', 'replace')
        elif suffix in _MASK_KINDS:
            content = cv2.imencode(suffix, 255 * self.mask.astype(np.uint8))[1].tobytes()
        else:
            raise InputError(f'cannot write an answer into {str(path)!r}: the name must end in one of '
                             f'{", ".join(_MASK_KINDS)} for the mask, or in .json; plot().save(...) writes a picture')
        write_atomically(content, path)
