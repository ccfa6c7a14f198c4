"""Random crops that leave the expression true, and random erasing that spares the referent."""

from math import ceil, floor

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.errors import InputError
from mmrefseg.registry import TRANSFORMS

from ..expression_kind import names_place, needs_others
from .geometry import BORDER, check_order


def check_shares(area: tuple[float, float], ratio: tuple[float, float]) -> None:
    """Check the bounds that :func:`draw_shares` takes.

    Args:
        area: bounds of the areas, shares of the picture's.
        ratio: bounds of width over height.

    Raises:
        InputError: the areas are no ascending shares above 0, or the ratios do not ascend from above 0.
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise InputError(f'area must be two ascending shares above 0 and up to 1, got {area}')
    if not 0 < ratio[0] <= ratio[1]:
        raise InputError(f'ratio must be two ascending numbers above 0, got {ratio}')


def draw_shares(area: tuple[float, float], ratio: tuple[float, float]) -> tuple[float, float]:
    """Draw the sides of a rectangle inside the picture.

    Args:
        area: bounds of its share of the picture's area; each share has the same chance.
        ratio: bounds of its width over its height, where the picture's own is 1; a ratio has the same chance as its
            inverse.

    Returns:
        Its height and its width as shares of the picture's, at most 1.
    """
    share, aspect = np.random.uniform(*area), np.exp(np.random.uniform(*np.log(ratio)))
    return min(1.0, np.sqrt(share / aspect)), min(1.0, np.sqrt(share * aspect))


@TRANSFORMS.register_module()
class RandomReferentCrop(BaseTransform):
    """Cut out a random window that holds the whole referent and in which the expression stays true.

    With ``Letterbox`` behind it this is a random resized crop. Only the words tell what may be cut (see
    :mod:`~mmrefseg.datasets.expression_kind`), for nothing is known of the other things in the picture:

    - An expression that needs other things ("next to the door", "2 from left", "middle", "the other one", "bigger"):
      nothing is cut off, as these things might be.
    - One that names a place, or an utmost ("man on the left", "9:00", "leftmost", "biggest"): the window is such that
      the middle of the referent keeps its relative place in the picture. The referent is then as far left as before,
      all else keeps its side of the referent, and less of it is left to compare with.
    - Any other ("red car", "man holding a racket"): every window that holds the referent has the same chance. What
      fitted the expression before is all that can fit it now.

    A window is enlarged as far as this needs, up to the whole picture. Where there is no referent nothing is cut off.
    Things that a referent wears, holds or is "with" may be cut off, and the rule knows English only.

    It belongs into training pipelines, between ``LoadReferringMask`` and ``Letterbox`` (or ``Stretch``).

    Required Keys:

    - img (np.ndarray, (H, W, 3))
    - gt_seg_map (np.ndarray, uint8, (H, W))
    - text (str)

    Modified Keys:

    - img, and every key in ``seg_fields``
    - img_shape (tuple[int, int])

    Args:
        area: smallest and largest area of the window, as a share of the picture's. Default (0.4, 1.0).
        ratio: smallest and largest width over height, where the picture's own is 1. Default (0.75, 1.33).

    Raises:
        InputError: the areas are no ascending shares above 0, or the ratios do not ascend from above 0.
    """

    def __init__(self, area: tuple[float, float] = (0.4, 1.0), ratio: tuple[float, float] = (0.75, 1.33)) -> None:
        check_shares(area, ratio)
        self.area, self.ratio = tuple(area), tuple(ratio)

    def transform(self, results: dict) -> dict:
        """Crop the image and its mask where the expression stays true; otherwise leave them whole.

        Raises:
            InputError: the image is in the square already, or mask or expression are not there yet.
        """
        check_order('RandomReferentCrop', results, 'text', 'gt_seg_map')
        left, top, width, height = cv2.boundingRect(results['gt_seg_map'])
        if not width or needs_others(results['text']):
            return results
        keep_place = names_place(results['text'])
        shape = results['img'].shape
        share_y, share_x = draw_shares(self.area, self.ratio)
        window = (_draw_window(top, top + height, shape[0], share_y, keep_place),
                  _draw_window(left, left + width, shape[1], share_x, keep_place))
        for key in ('img', *results['seg_fields']):
            results[key] = results[key][window]
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(area={self.area}, ratio={self.ratio})'


def _draw_window(low: int, high: int, length: int, share: float, keep_place: bool) -> slice:
    """Draw one side of the window.

    Args:
        low: where the referent begins.
        high: where it ends.
        length: side of the picture.
        share: wanted side of the window, as a share of the picture's.
        keep_place: whether the middle of the referent must keep its relative place.
    """
    if keep_place:
        middle = (low + high) / 2
        share = max(share, (high - middle) / min(middle, length - middle))
        start = middle * (1 - share)
    else:
        share = max(share, (high - low) / length)
        start = np.random.uniform(max(0, high - share * length), min(low, length * (1 - share)))
    return slice(max(0, floor(start)), min(length, ceil(start + share * length)))


_TRIES = 10


@TRANSFORMS.register_module()
class RandomErasing(BaseTransform):
    """Cover a random rectangle with CLIP's mean colour (https://arxiv.org/abs/1708.04896), but little of the referent.

    The mask stays: what is covered still belongs to the referent. Other things may be covered whole, those that the
    expression names included, which is why this is off unless asked for. It belongs between ``LoadReferringMask`` and
    ``Letterbox`` (or ``Stretch``).

    Required Keys:

    - img (np.ndarray, uint8, (H, W, 3))
    - gt_seg_map (np.ndarray, uint8, (H, W))

    Modified Keys:

    - img

    Args:
        prob: chance that something is covered, between 0 and 1. Default 0, which means never.
        area: smallest and largest area of the rectangle, as a share of the picture's. Default (0.02, 0.2).
        ratio: smallest and largest width over height, where the picture's own is 1. Default (0.3, 3.3).
        max_referent: largest share of the referent's pixels that may be covered. Where ten draws find no such rectangle
            nothing is covered. Default 0.2.

    Raises:
        InputError: a chance or a share is none.
    """

    def __init__(self,
                 prob: float = 0.0,
                 area: tuple[float, float] = (0.02, 0.2),
                 ratio: tuple[float, float] = (0.3, 3.3),
                 max_referent: float = 0.2) -> None:
        if not (0 <= prob <= 1 and 0 <= max_referent <= 1):
            raise InputError(f'prob and max_referent must lie between 0 and 1, got {prob} and {max_referent}')
        check_shares(area, ratio)
        self.prob, self.area, self.ratio, self.max_referent = prob, tuple(area), tuple(ratio), max_referent

    def transform(self, results: dict) -> dict:
        """Cover a rectangle, or not.

        Raises:
            InputError: the image is in the square already, or the mask is not there yet.
        """
        check_order('RandomErasing', results, 'gt_seg_map')
        if np.random.rand() >= self.prob:
            return results
        mask = results['gt_seg_map']
        allowed = self.max_referent * np.count_nonzero(mask)
        for _ in range(_TRIES):
            window = self._draw_window(mask.shape)
            if np.count_nonzero(mask[window]) <= allowed:
                results['img'] = results['img'].copy()
                results['img'][window] = np.round(BORDER)
                break
        return results

    def _draw_window(self, shape: tuple[int, int]) -> tuple[slice, ...]:
        window = []
        for side, share in zip(shape, draw_shares(self.area, self.ratio), strict=True):
            length = max(1, round(share * side))
            start = np.random.randint(side - length + 1)
            window.append(slice(start, start + length))
        return tuple(window)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(prob={self.prob}, area={self.area}, ratio={self.ratio}, '
                f'max_referent={self.max_referent})')
