"""An image's way into the network's square, and the way of a prediction back onto the image."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefseg.errors import InputError

from .resampling import axis_back_to_original, exceeds


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
    return torch.from_numpy(cris_scores(logits, input_size, warp_matrix, ori_shape) > threshold)


def cris_scores(logits: Tensor, input_size: tuple[int, int], warp_matrix: np.ndarray,
                ori_shape: tuple[int, int]) -> np.ndarray:
    """What :func:`cris_mask` compares with the threshold.

    Args:
        logits: see there.
        input_size: see there.
        warp_matrix: see there.
        ori_shape: see there.

    Returns:
        float32 (H0, W0); cubic interpolation goes a little below 0 and above 1.

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
    return cv2.warpAffine(
        enlarged, np.asarray(warp_matrix, dtype=np.float64), (int(width), int(height)),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)


def masks_by_opencv(logits: Tensor, input_size: tuple[int, int], ori_shapes: Sequence[tuple[int, int]],
                    warp_matrices: Sequence[np.ndarray], threshold: float = 0.35) -> list[Tensor]:
    """:func:`cris_mask` of each sample, brought back to the logits' device.

    Args:
        logits: see :func:`masks_by_matrix`.
        input_size: see there.
        ori_shapes: see there.
        warp_matrices: see there, but of any affine map.
        threshold: see there. Default 0.35.
    """
    return [
        cris_mask(sample, input_size, matrix, shape, threshold).to(logits.device)
        for sample, matrix, shape in zip(logits, warp_matrices, ori_shapes, strict=True)
    ]


def masks_by_matrix(logits: Tensor, input_size: tuple[int, int], ori_shapes: Sequence[tuple[int, int]],
                    warp_matrices: Sequence[np.ndarray], threshold: float = 0.35) -> list[Tensor]:
    """What :func:`cris_mask` computes, but for rounding, on any device and without waiting for it.

    Both interpolations are linear and treat rows and columns apart: together they are one matrix on either side.

    Args:
        logits: (B, h, w), in the frame of the network's input at any resolution.
        input_size: height and width of the network's input in pixels.
        ori_shapes: height H0 and width W0 of each original image in pixels.
        warp_matrices: of each sample 2x3, maps original to input pixel coordinates (x, y), without rotation or shear.
        threshold: probability that a pixel of the referent exceeds. Default 0.35.

    Returns:
        Of each sample (H0, W0), boolean, on the logits' device; samples of one geometry are computed together.

    Raises:
        InputError: a ``warp_matrix`` isn't 2x3, or it turns or shears the image.
    """
    probability = logits.detach().float().sigmoid()
    together = defaultdict(list)
    for i, (shape, matrix) in enumerate(zip(ori_shapes, warp_matrices, strict=True)):
        geometry = (int(shape[0]), int(shape[1]), *_straight(matrix))
        together[geometry].append(i)
    masks: dict[int, Tensor] = {}
    for (height, width, x_scale, x_shift, y_scale, y_shift), members in together.items():
        chosen = probability if len(members) == len(probability) else torch.stack([probability[i] for i in members])
        rows = axis_back_to_original(chosen.shape[1], int(input_size[0]), height, y_scale, y_shift, chosen.device)
        columns = axis_back_to_original(chosen.shape[2], int(input_size[1]), width, x_scale, x_shift, chosen.device)
        masks.update(zip(members, exceeds(chosen, rows, columns, threshold), strict=True))
    return [masks[i] for i in range(len(masks))]


def _straight(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Scale and shift of x and of y."""
    if np.shape(matrix) != (2, 3):
        raise InputError(f'warp_matrix must be 2x3, got {np.shape(matrix)}')
    (x_scale, x_shear, x_shift), (y_shear, y_scale, y_shift) = np.asarray(matrix, dtype=np.float64).tolist()
    if x_shear or y_shear:
        raise InputError("a transform turns or shears images, which test_cfg.resampling='matrix' cannot undo; set "
                         "test_cfg=dict(resampling='opencv') in the model, or leave the transform out")
    return x_scale, x_shift, y_scale, y_shift
