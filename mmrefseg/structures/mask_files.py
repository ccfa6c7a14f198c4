"""Masks in image files: which of their pixels are inside."""
from __future__ import annotations

from functools import reduce
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from mmrefseg.errors import InputError, UserError
from mmrefseg.utils.files import MAX_IMAGE_BYTES, read_regular
from mmrefseg.utils.image_header import PILLOW_ERRORS, ImageHeader, header_of

# Pillow's names of grey, indexed and RGB pixels, with and without alpha, of 1 to 16 bits.
_WITH_ALPHA = ('LA', 'RGBA')
_MODES = ('1', 'L', 'P', 'RGB', 'I', 'I;16', 'I;16B', 'I;16L', *_WITH_ALPHA)
_MEND = 'Save it as a grey PNG, 0 outside and 255 inside'


def file_to_mask(path: str, height: int, width: int) -> np.ndarray:
    """Read a mask from an image file of exact values: PNG, BMP, GIF, TIFF, PPM or lossless WebP.

    A file may say in three ways what is inside: by its colour or grey (all but black), by its alpha channel (all that
    is not wholly transparent), and, if it is indexed, by its index (all but 0). A way by which everything or nothing is
    inside says nothing, if another one says something. So

    - 1-bit, grey (8 or 16 bits) and RGB: every value but 0 is inside;
    - grey or RGB with an opaque alpha channel: the same;
    - with one colour everywhere and the mask in the alpha channel: what is not wholly transparent is inside;
    - indexed, index 0 being black: every other index is inside. Index 0 of another colour is the background, if black
      isn't used, and black of another index is, if index 0 isn't used.

    Refused, for nobody can tell what is meant: ways that contradict each other, a picture of several values none of
    which is outside, JPEG and other lossy files (whose values are changed around edges, so that masks grow), CMYK,
    fractions, animations, and files with an EXIF orientation.

    Args:
        path: the file.
        height: height of the mask in pixels.
        width: width of the mask in pixels.

    Returns:
        (H, W), uint8, 1 inside.

    Raises:
        InputError: the file is missing, no image, of another size, or refused for one of the reasons above.
    """
    if not isinstance(path, str):
        raise InputError(f"its 'file' must be a path, got an object of type {type(path).__name__}")
    try:
        content = read_regular(path, MAX_IMAGE_BYTES)
    except UserError as error:
        raise InputError(f'the mask {error}') from error
    try:
        return content_to_mask(content, height, width)
    except InputError as error:
        raise InputError(f'the mask {path}: {error}') from error


def content_to_mask(content: bytes, height: int, width: int) -> np.ndarray:
    """Read a mask from what an image file holds; see :func:`file_to_mask`.

    Args:
        content: the file's bytes.
        height: height of the mask in pixels.
        width: width of the mask in pixels.

    Returns:
        (H, W), uint8, 1 inside.

    Raises:
        InputError: it is no image, of another size, or refused.
    """
    header = header_of(content)  # first, for a small file may be the picture of a hundred million pixels
    if (size := (header.height, header.width)) != (height, width):
        raise InputError(f'it is {size} (H, W), but its image {(height, width)}')
    _check_kind(header)
    return _inside(_pixels(content, header), _indices(content, header)).astype(np.uint8)


def _check_kind(header: ImageHeader) -> None:
    if header.is_lossy:
        raise InputError(f'it is a lossy {header.format}, which blurs values around edges, so that what is inside '
                         'cannot be told. Save masks as PNG; of one in white on black, '
                         "Image.open(path).convert('L').point(lambda v: 255 * (v > 127)).save('mask.png') makes one")
    if header.mode not in _MODES:
        raise InputError(f'its pixels are {header.mode}, not grey, RGB or indexed. {_MEND}')
    if header.orientation != 1:
        raise InputError('it carries an EXIF orientation, so that what is up cannot be told. Turn its pixels and save '
                         'it without metadata')


def _pixels(content: bytes, header: ImageHeader) -> np.ndarray:
    """(H, W, C): grey or BGR, and alpha if C is 4; of indexed files the colours."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f'OpenCV refuses it ({error})') from error
    if pixels is None:
        raise InputError(f'it is damaged, cut off or of a kind that is not read. {_MEND}')
    if pixels.shape[:2] != (header.height, header.width):
        raise InputError(f'its header declares {(header.height, header.width)} (H, W), but it holds '
                         f'{pixels.shape[:2]}. {_MEND}')
    pixels = pixels.reshape(header.height, header.width, -1)
    if pixels.dtype.kind != 'u' or (header.mode in _WITH_ALPHA and pixels.shape[2] != 4):
        raise InputError(f'its pixels are {header.mode} of type {pixels.dtype}, of which not everything is read. '
                         f'{_MEND}')
    return pixels


def _indices(content: bytes, header: ImageHeader) -> np.ndarray | None:
    """(H, W) of an indexed file."""
    if header.mode != 'P':
        return None
    try:
        with Image.open(BytesIO(content), formats=[header.format]) as image:
            return np.asarray(image)
    except PILLOW_ERRORS as error:
        raise InputError(f'it is damaged or cut off ({error}). {_MEND}') from error


def _inside(pixels: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
    """(H, W), bool, from (H, W, C) and (H, W)."""
    colour = reduce(np.bitwise_or, np.moveaxis(pixels[..., :3], 2, 0)) != 0  # ten times as fast as any(axis=2)
    ways = {'colour': colour}
    if pixels.shape[2] == 4:
        ways['alpha channel'] = pixels[..., 3] != 0
    if indices is not None:
        ways['index'] = indices != 0
    telling = [inside for inside in ways.values() if inside.any() and not inside.all()]
    if telling and all(np.array_equal(telling[0], inside) for inside in telling):
        return telling[0]
    if telling or (colour.all() and not all(inside.all() for inside in ways.values())):
        numbers = ', '.join(f'{int(inside.sum())} by its {way}' for way, inside in ways.items())
        raise InputError(f'it contradicts itself about how many pixels are inside: {numbers}. {_MEND}')
    if colour.all() and (pixels != pixels[0, 0]).any():
        raise InputError(f'it has several values, but none is 0 (black), so that all of it would be inside. {_MEND}')
    return colour
