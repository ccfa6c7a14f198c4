"""From what users have to RGB: bytes, Pillow's images, arrays and tensors."""
from __future__ import annotations

import logging
from io import BytesIO

import numpy as np
import torch
from mmengine.logging import print_log
from PIL import Image, ImageOps
from torch import Tensor

from mmrefseg.datasets.transforms.loading import decode_image, to_8_bits
from mmrefseg.errors import InputError
from mmrefseg.utils.image_header import PILLOW_ERRORS, check_pixels

_ANIMATED = ('GIF', 'PNG', 'WEBP', 'TIFF')


def of_bytes(content: bytes, where: str) -> np.ndarray:
    """Decode an image file: upright, without transparency; of several pictures the first, which is said.

    Args:
        content: what the file holds.
        where: what messages call it.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: as :func:`mmrefseg.datasets.transforms.loading.decode_image`.
    """
    if content[:512].lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'<'):
        raise InputError(f'{where} is no image but a text in HTML, XML or SVG: perhaps the page that shows the image. '
                         "Name the image itself (in a browser: 'copy image address')")
    first = _first_of_several(content, where)
    return decode_image(content, where.removeprefix('the image ')) if first is None else first


def _first_of_several(content: bytes, where: str) -> np.ndarray | None:
    """The first picture of an animation or of several pages; None if there is one picture, or none that is whole."""
    try:
        with Image.open(BytesIO(content), formats=_ANIMATED) as image:
            if not getattr(image, 'is_animated', False):  # counting a million pages would take minutes
                return None
            pixels = of_pillow(image, where)
    except (*PILLOW_ERRORS, Image.DecompressionBombError):
        return None  # the decoder of single pictures tells what is wrong
    print_log(f'{where} holds several pictures, of which the first is taken.', 'current', logging.WARNING)
    return pixels


def of_pillow(image: Image.Image, where: str) -> np.ndarray:
    """The pixels of one of Pillow's images, upright.

    Args:
        image: of any mode with up to 16 bits; transparency is left out.
        where: what messages call it.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: it is damaged, too large, or of a mode without a clear range.
    """
    check_pixels(image.height, image.width)
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith('I;16'):
            return of_array(np.asarray(image).astype(np.uint16), where)
        if image.mode in ('I', 'F'):
            raise InputError(f"{where} is of Pillow's mode {image.mode!r}, whose range isn't known: scale its pixels "
                             "to 0 to 255 and convert it to 'L'")
        return np.asarray(image.convert('RGB'))
    except InputError:
        raise
    except PILLOW_ERRORS as error:
        raise InputError(f'{where} is damaged: {error}') from error


def of_array(image: np.ndarray, where: str) -> np.ndarray:
    """A user's array as RGB.

    Args:
        image: uint8 or uint16, (H, W) grey, (H, W, 3) RGB or (H, W, 4) with transparency, which is left out.
        where: what messages call it.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: it is of another type or shape.
    """
    grey = image[..., None] if image.ndim == 2 else image
    if image.dtype not in (np.uint8, np.uint16) or grey.ndim != 3 or grey.shape[2] not in (1, 3, 4) or not image.size:
        raise InputError(f'{where} must be RGB, uint8 and (H, W, 3), got {image.dtype} and {image.shape}{_mend(image)}')
    check_pixels(*grey.shape[:2])
    pixels = to_8_bits(grey)[..., :3]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def of_tensor(image: Tensor, where: str) -> np.ndarray:
    """A user's tensor as RGB.

    Args:
        image: (C, H, W) as torchvision has it, uint8 or floating point from 0 to 1, C 1, 3 or 4.
        where: what messages call it.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        InputError: it is of another shape, type or range.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise InputError(f'{where} must be (3, H, W), got {tuple(image.shape)}'
                         + ('; give several images as a list' if image.ndim == 4 else ''))
    image = image.detach().cpu()
    if image.is_floating_point():
        image = image.float()
        if not ((image >= 0) & (image <= 1)).all():
            raise InputError(f'{where} has floating-point values outside 0 to 1: give it before it is normalised')
        image = (255 * image).round().to(torch.uint8)
    return of_array(image.permute(1, 2, 0).contiguous().numpy(), where)


def _mend(image: np.ndarray) -> str:
    if image.ndim == 4:
        return '; give several images as a list'
    if np.issubdtype(image.dtype, np.floating):
        return '; values from 0 to 1 become uint8 by (255 * image).round().astype(np.uint8)'
    if image.ndim == 3 and image.shape[0] in (1, 3):
        return '; channels come last: image.transpose(1, 2, 0)'
    return ''
