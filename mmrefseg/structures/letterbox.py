"""An image's way into the network's square, and the way of a prediction back onto the image."""
from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefseg.errors import InputError


def letterbox_matrix(height: int, width: int, size: int) -> np.ndarray:
    """Map an image into the middle of a square, as large as fits, with its aspect kept.

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.
        size: side of the square in pixels.

    Returns:
        (2, 3), float64, for ``cv2.warpAffine``: takes pixel coordinates (x, y, 1) of the image to those of the square.
        ``cv2.invertAffineTransform`` gives the way back.
    """
    scale = min(size / height, size / width)
    return np.array([[scale, 0, (size - width * scale) / 2], [0, scale, (size - height * scale) / 2]])


def cris_mask(logits: Tensor,
              input_size: tuple[int, int],
              warp_matrix: np.ndarray,
              ori_shape: tuple[int, int],
              threshold: float = 0.35) -> Tensor:
    """Turn logits into a mask on the original image, as CRIS, ETRIS and DETRIS are evaluated.

    Sigmoid, bicubic interpolation to the input's size with aligned corners, cubic warp back onto the original image
    with 0 outside of it, threshold.

    Args:
        logits: (h, w), in the frame of the network's input at any resolution.
        input_size: height and width of the network's input in pixels.
        warp_matrix: 2x3, maps original to input pixel coordinates (x, y).
        ori_shape: height H0 and width W0 of the original image in pixels.
        threshold: probability that a pixel of the referent exceeds. Default 0.35.

    Returns:
        (H0, W0), boolean, on the CPU.

    Raises:
        InputError: ``logits`` isn't two-dimensional, or ``warp_matrix`` isn't 2x3.
    """
    if logits.ndim != 2:
        raise InputError(f'logits must be (h, w) of one sample, got {tuple(logits.shape)}')
    if np.shape(warp_matrix) != (2, 3):
        raise InputError(f'warp_matrix must be 2x3, got {np.shape(warp_matrix)}')
    enlarged = F.interpolate(logits.detach().float().sigmoid()[None, None], size=tuple(input_size), mode='bicubic',
                             align_corners=True)[0, 0].cpu().numpy()
    height, width = ori_shape
    # OpenCV looks up each output pixel through the inverse of the matrix it is given. The way back onto the original
    # needs the inverse of that inverse, which is the matrix itself.
    mapped = cv2.warpAffine(
        enlarged, np.asarray(warp_matrix, dtype=np.float64), (int(width), int(height)),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)
    return torch.from_numpy(mapped > threshold)
