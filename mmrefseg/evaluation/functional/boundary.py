"""Boundary IoU (arXiv 2103.16562): how well outlines fit, of large objects too."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .iou import pixel_counts

DILATION_RATIO = 0.02
"""Width of the boundary as a share of the image's diagonal; the paper's."""


def boundary(mask: Tensor, dilation_ratio: float = DILATION_RATIO) -> Tensor:
    """The pixels of a mask that are near its outline, or near the edge of the picture, by the square around them.

    Args:
        mask: (H, W), boolean.
        dilation_ratio: how near, as a share of the diagonal; a pixel at least. Default 0.02.

    Returns:
        (H, W), boolean, on the device of the mask.
    """
    height, width = mask.shape
    distance = max(1, round(dilation_ratio * (height**2 + width**2)**0.5))
    return mask & ~_all_within(_all_within(mask, distance).T, distance).T


def _all_within(mask: Tensor, distance: int) -> Tensor:
    """Whether a row's pixels up to a distance to the left and right are all inside; (H, W), boolean."""
    # A running count of those outside, which is the same at both ends of a stretch that is all inside.
    outside = F.pad((~mask).to(torch.int32), (distance + 1, distance), value=1).cumsum(1)
    return outside[:, 2 * distance + 1:] == outside[:, :-2 * distance - 1]


def boundary_counts(pred: Tensor, truth: Tensor) -> Tensor:
    """:func:`pixel_counts` of the boundaries of two masks; int64 (3, ) on their device.

    Args:
        pred: (H, W), boolean, predicted mask.
        truth: (H, W), boolean, ground truth.
    """
    return pixel_counts(boundary(pred), boundary(truth))
