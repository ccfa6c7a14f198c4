"""Training at several scales in batches of one size."""
import numpy as np

from mmrefseg.errors import InputError
from mmrefseg.registry import TRANSFORMS
from mmrefseg.structures import letterbox_matrix

from .geometry import Letterbox


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
