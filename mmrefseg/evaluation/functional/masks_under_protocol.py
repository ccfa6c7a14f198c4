"""Predictions and ground truths in the frame where a protocol lets them meet."""
from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.structures import cris_mask
from mmrefseg.structures.resampling import interpolation_taps

from ..protocols import Protocol


def predicted_mask(logits: Tensor,
                   protocol: Protocol,
                   warp_matrix: np.ndarray,
                   input_size: tuple[int, int],
                   ori_shape: tuple[int, int]) -> Tensor:
    """The mask that a protocol makes of logits, whatever letterbox or stretch the network's input went through.

    Args:
        logits: (h, w), in the frame of the network's input at any resolution.
        protocol: resolution, interpolation and threshold.
        warp_matrix: 2x3, maps original to input pixel coordinates (x, y); without rotation.
        input_size: height and width of the network's input in pixels.
        ori_shape: height and width of the original image in pixels.

    Returns:
        Boolean, of the size of the protocol's frame; on the device of the logits but with ``'bicubic'`` interpolation,
        for which OpenCV works on the CPU.

    Raises:
        InputError: a shape is another one, or the matrix rotates.
    """
    frame = protocol.frame(*ori_shape)
    if protocol.interpolation == 'bicubic':
        matrix = _from_frame(_checked(logits, warp_matrix), frame, ori_shape)
        return cris_mask(logits, input_size, matrix, frame, protocol.threshold)
    return logits_on(frame, logits, warp_matrix, input_size, ori_shape) > protocol.logit_threshold


def logits_on(frame: tuple[int, int],
              logits: Tensor,
              warp_matrix: np.ndarray,
              input_size: tuple[int, int],
              ori_shape: tuple[int, int]) -> Tensor:
    """Logits of the image stretched to a frame, bilinearly.

    Args:
        frame: height and width in pixels; those of the image for no stretching.
        logits: (h, w), in the frame of the network's input at any resolution.
        warp_matrix: 2x3, maps original to input pixel coordinates (x, y); without rotation.
        input_size: height and width of the network's input in pixels.
        ori_shape: height and width of the original image in pixels.

    Returns:
        float32, of the frame's size, on the device of the logits.

    Raises:
        InputError: a shape is another one, or the matrix rotates.
    """
    matrix = _from_frame(_checked(logits, warp_matrix), frame, ori_shape)
    positions = [_positions(matrix[axis, axis], matrix[axis, 2], side, input_side, logit_side)
              for axis, side, input_side, logit_side in zip((1, 0), frame, input_size, logits.shape, strict=True)]
    return _bilinear(logits.detach().float(), *positions)


def _checked(logits: Tensor, warp_matrix: np.ndarray) -> np.ndarray:
    matrix = np.asarray(warp_matrix, dtype=np.float64)
    if logits.ndim != 2 or matrix.shape != (2, 3) or matrix[0, 1] or matrix[1, 0]:
        raise InputError(f'expected were logits (h, w) of one sample and a 2x3 warp_matrix without rotation, got '
                         f'{tuple(logits.shape)} and {matrix.tolist()}')
    return matrix


def truth_mask(truth: Tensor, protocol: Protocol) -> Tensor:
    """The ground truth in a protocol's frame.

    Args:
        truth: (H0, W0), boolean or integer, of the original image; every value but 0 is the referent.
        protocol: resolution and interpolation of the truth.

    Returns:
        Boolean, of the size of the protocol's frame, on the device of the truth.
    """
    truth = truth != 0
    frame = protocol.frame(*truth.shape)
    if protocol.resolution == 'original' or frame == tuple(truth.shape):
        return truth
    if protocol.truth_interpolation == 'bilinear':
        soft = cv2.resize(truth.cpu().numpy().astype(np.uint8) * 255, frame[::-1], interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(soft > 127).to(truth.device)
    rows, columns = (torch.from_numpy(_nearest(side, original)).to(truth.device)
                     for side, original in zip(frame, truth.shape, strict=True))
    return truth.index_select(0, rows).index_select(1, columns)


def _from_frame(matrix: np.ndarray, frame: tuple[int, int], ori_shape: tuple[int, int]) -> np.ndarray:
    """The map from a frame's pixel coordinates to the input's; a frame is the image stretched, pixels being areas."""
    matrix = matrix.copy()
    for axis, (side, original) in enumerate(zip(frame[::-1], ori_shape[::-1], strict=True)):
        scale = original / side
        matrix[axis, 2] += matrix[axis, axis] * (scale - 1) / 2
        matrix[axis, axis] *= scale
    return matrix


def _positions(scale: float, shift: float, side: int, input_side: int, logit_side: int) -> np.ndarray:
    """Where among the logits each of a frame's rows or columns lies; (side, )."""
    on_input = scale * np.arange(side) + shift
    return (on_input * ((logit_side - 1) / max(input_side - 1, 1))).clip(0, logit_side - 1)


def _bilinear(values: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """Values (h, w) at fractional rows (H, ) and columns (W, ); (H, W)."""
    for axis, positions in enumerate((rows, columns)):
        taps, weights = (torch.from_numpy(part).to(values.device) for part in interpolation_taps(
            values.shape[axis], positions, 'bilinear'))
        shape = (-1, 1) if axis == 0 else (1, -1)
        below, above = (values.index_select(axis, taps[:, i]) * weights[:, i].float().view(shape) for i in range(2))
        values = below + above
    return values


def _nearest(side: int, original: int) -> np.ndarray:
    """The row or column of the original that OpenCV's ``INTER_NEAREST`` takes for each of a frame's; (side, )."""
    return np.minimum(np.floor(np.arange(side) * (1 / (side / original))).astype(np.int64), original - 1)
