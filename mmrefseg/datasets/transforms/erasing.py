"""Random erasing that spares the referent."""
import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.errors import InputError
from mmrefseg.registry import TRANSFORMS

from .crop import check_shares, draw_shares
from .geometry import BORDER, check_order

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
