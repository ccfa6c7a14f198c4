"""Transforms that move pixels, the mask and the words that say where something is."""

from abc import abstractmethod

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.errors import InputError
from mmrefseg.registry import TRANSFORMS
from mmrefseg.structures import letterbox_matrix

from .text import sides_are_clear, swap_left_right

# CLIP's mean colour: 0 once the image is normalised.
BORDER = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)

_LARGEST = 1 << 14  # side in pixels; an image of that square takes 0.8 GB

_SOURCES = {'text': 'SampleSentence', 'gt_seg_map': 'LoadReferringMask'}


def check_order(name: str, results: dict, *keys: str) -> None:
    """Check that a transform which moves pixels stands between the transforms that load and those that end in a square.

    Args:
        name: the transform.
        results: what it is given.
        *keys: what it needs: ``text`` and ``gt_seg_map`` are known.

    Raises:
        InputError: the image is in the square already, or a key is missing.
    """
    if 'warp_matrix' in results:
        raise InputError(f'{name} must stand before Letterbox or Stretch, whose warp_matrix it would spoil.')
    for key in keys:
        if key not in results:
            raise InputError(f'{name} needs {key!r}: {_SOURCES[key]} must stand before it.')


class _ToSquare(BaseTransform):
    """What the ways into a square share: the keys, the check of the masks and the short cut."""

    touches = 'image'

    def __init__(self, size: int) -> None:
        if not 1 <= size <= _LARGEST:
            raise InputError(f'size must be a positive number of pixels up to {_LARGEST}, got {size}')
        self.size = size

    @abstractmethod
    def matrix(self, height: int, width: int) -> np.ndarray:
        """(2, 3) map from the image's pixel coordinates to the square's."""

    @abstractmethod
    def warp_image(self, img: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """(H, W, 3) to (size, size, 3)."""

    @abstractmethod
    def warp_mask(self, mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """(H, W) of 0 and 1 to (size, size) of 0 and 1."""

    def transform(self, results: dict) -> dict:
        """Bring the image, and the masks that are there already, into the square."""
        shape = results['img'].shape[:2]
        matrix = self.matrix(*shape)
        for key in results.get('seg_fields', ()):
            if results[key].shape != shape:
                raise InputError(f'{key} is {results[key].shape} (H, W), but the image {results.get("img_path")} is '
                                 f'{shape}: a mask must have the size of its image.')
        if not np.array_equal(matrix, np.eye(2, 3)):
            results['img'] = self.warp_image(results['img'], matrix)
            for key in results.get('seg_fields', ()):
                results[key] = self.warp_mask(results[key], matrix)
        # A border that is no whole pixel is cut down, never up, so that even a line of an image keeps a row.
        left, top = (int((self.size - side * scale) / 2 + 1e-6) for side, scale in ((shape[1], matrix[0, 0]),
                                                                             (shape[0], matrix[1, 1])))
        results.update(
            warp_matrix=matrix,
            scale_factor=(float(matrix[0, 0]), float(matrix[1, 1])),
            img_padding_size=(left, left, top, top),
            img_shape=(self.size, self.size))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'


@TRANSFORMS.register_module()
class Letterbox(_ToSquare):
    """Put the image into the middle of a square, its aspect kept, as CRIS (https://arxiv.org/abs/2111.15174) does.

    The image is resampled bicubically, with CLIP's mean colour around it; a mask linearly, then cut at one half, with
    0 around it. Masks loaded later keep their original size, which is what a test pipeline wants. An image that
    already is such a square passes untouched.

    Required Keys:

    - img (np.ndarray, uint8, (H, W, 3), RGB)

    Modified Keys:

    - img ((size, size, 3))
    - img_shape (tuple[int, int])
    - every key in ``seg_fields`` (np.ndarray, uint8, (H, W) to (size, size), 0 and 1)

    Added Keys:

    - warp_matrix (np.ndarray, float64, (2, 3), maps original to input pixel coordinates (x, y))
    - scale_factor (tuple[float, float], in width and height)
    - img_padding_size (tuple[int, int, int, int]: left, right, top, bottom, in pixels, rounded down)

    Args:
        size: side of the square in pixels.
    """

    def matrix(self, height: int, width: int) -> np.ndarray:
        return letterbox_matrix(height, width, self.size)

    def warp_image(self, img: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(img, matrix, (self.size, self.size), flags=cv2.INTER_CUBIC, borderValue=BORDER)

    def warp_mask(self, mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        soft = cv2.warpAffine(mask * 255, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR, borderValue=0)
        return _cut_at_half(soft)


@TRANSFORMS.register_module()
class FastLetterbox(_ToSquare):
    """Put the image into the middle of a square, its aspect kept, in a sixth of :class:`Letterbox`'s time.

    For training. As there, the image is resampled bicubically without smoothing, with CLIP's mean colour around it,
    and a mask linearly, then cut at one half. But sides and borders are whole pixels here, and pixels areas instead of
    points, as in OpenCV's ``resize``, which does the work. Against ``Letterbox`` this moves what is on the image by
    less than a pixel, the mask with it; published protocols test on images from ``Letterbox``.

    Required, Modified and Added Keys: those of :class:`Letterbox`, with ``warp_matrix`` as :class:`Stretch` has it.

    Args:
        size: side of the square in pixels.
    """

    def matrix(self, height: int, width: int) -> np.ndarray:
        (inner_height, inner_width), (top, _, left, _) = self._place(height, width)
        x, y = inner_width / width, inner_height / height
        return np.array([[x, 0, left + (x - 1) / 2], [0, y, top + (y - 1) / 2]])

    def warp_image(self, img: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return self._paste(img, cv2.INTER_CUBIC, BORDER)

    def warp_mask(self, mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return _cut_at_half(self._paste(mask * 255, cv2.INTER_LINEAR, 0))

    def _place(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Height and width within the square; the borders at the top, at the bottom, on the left and on the right."""
        scale = self.size / max(height, width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (self.size - inner[0]) // 2, (self.size - inner[1]) // 2
        return inner, (top, self.size - inner[0] - top, left, self.size - inner[1] - left)

    def _paste(self, pixels: np.ndarray, interpolation: int, border: float | tuple[float, ...]) -> np.ndarray:
        (height, width), borders = self._place(*pixels.shape[:2])
        resized = cv2.resize(pixels, (width, height), interpolation=interpolation)
        return cv2.copyMakeBorder(resized, *borders, cv2.BORDER_CONSTANT, value=border)


@TRANSFORMS.register_module()
class Stretch(_ToSquare):
    """Stretch the image to a square, as LAVT (https://arxiv.org/abs/2112.02244) does.

    The image is resampled bilinearly, a mask by OpenCV's nearest neighbour. Masks loaded later keep their original
    size.

    Required, Modified and Added Keys: those of :class:`Letterbox`. Pixels are areas here, not points, so
    ``warp_matrix`` takes a corner of the image to the corner of the square, half a pixel before its first centre.

    Args:
        size: side of the square in pixels.
    """

    def matrix(self, height: int, width: int) -> np.ndarray:
        x, y = self.size / width, self.size / height
        return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])

    def warp_image(self, img: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return cv2.resize(img, (self.size, self.size), interpolation=cv2.INTER_LINEAR)

    def warp_mask(self, mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return cv2.resize(mask, (self.size, self.size), interpolation=cv2.INTER_NEAREST)


@TRANSFORMS.register_module()
class FlipReferring(BaseTransform):
    """Mirror the image and the mask horizontally, and exchange left and right in the expression.

    :func:`~mmrefseg.datasets.transforms.text.swap_left_right` says which words are exchanged. Nothing is mirrored where
    it is not clear from the words what names a side ("right next to the door", "the man who left").

    It belongs into training pipelines, between ``LoadReferringMask`` and ``Letterbox`` (or ``Stretch``): what comes
    later, ``warp_matrix`` included, speaks of the mirrored image. Anywhere else it raises rather than spoil a sample.

    Required Keys:

    - img (np.ndarray, (H, W, 3))
    - text (str)

    Modified Keys:

    - img
    - every key in ``seg_fields`` (np.ndarray, (H, W))
    - text

    Added Keys:

    - flip (bool)
    - flip_direction (str | None, 'horizontal' where flipped)

    Args:
        prob: chance of a flip, between 0 and 1, where the sides are clear. Default 0.5.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise InputError(f'prob must lie between 0 and 1, got {prob}')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Flip the image, its mask and the sides in the expression, if the draw says so.

        Raises:
            InputError: the image is in the square already, or the expression is not drawn yet.
        """
        check_order('FlipReferring', results, 'text')
        flip = np.random.rand() < self.prob and sides_are_clear(results['text'])
        if flip:
            for key in ('img', *results.get('seg_fields', ())):
                results[key] = cv2.flip(results[key], 1)
            results['text'] = swap_left_right(results['text'])
        results.update(flip=flip, flip_direction='horizontal' if flip else None)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


def _cut_at_half(mask: np.ndarray) -> np.ndarray:
    """0 to 255 to 0 and 1, in place."""
    return cv2.threshold(mask, 127, 1, cv2.THRESH_BINARY, dst=mask)[1]


@TRANSFORMS.register_module()
class RandomLetterbox(Letterbox):
    """A letterbox that draws the image smaller, by a random share: training at several scales in batches of one size.

    To draw it larger is the work of :class:`RandomReferentCrop`, which knows what may be cut off.

    Required, Modified and Added Keys: those of :class:`Letterbox`.

    Args:
        size: side of the square in pixels.
        scale: smallest and largest size of the image, as a share of what would fit; each size between has the same
            chance. Default (0.5, 1.0).

    Raises:
        InputError: ``size`` is not positive, or ``scale`` are not two ascending numbers above 0 and up to 1.
    """

    def __init__(self, size: int, scale: tuple[float, float] = (0.5, 1.0)) -> None:
        super().__init__(size)
        if not 0 < scale[0] <= scale[1] <= 1:
            raise InputError(f'scale must be two ascending numbers above 0 and up to 1, got {scale}')
        self.scale = tuple(scale)

    def matrix(self, height: int, width: int) -> np.ndarray:
        scale = np.random.uniform(*self.scale)
        whole = letterbox_matrix(height, width, self.size)
        return np.hstack([whole[:, :2] * scale, whole[:, 2:] * scale + self.size * (1 - scale) / 2])

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, scale={self.scale})'
