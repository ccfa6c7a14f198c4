"""Transforms that bring the image and the mask into the pipeline."""
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import TRANSFORMS
from mmrefseg.structures.mask_formats import draw_mask
from mmrefseg.utils.exif_orientation import orientation_of, turn_back, turn_upright
from mmrefseg.utils.files import MAX_IMAGE_BYTES, read_regular
from mmrefseg.utils.image_header import (
    JPEG_END,
    JPEG_START,
    MAX_PIXELS,
    PILLOW_ERRORS,
    check_pixels,
    header_of,
    read_jpeg,
)
from mmrefseg.utils.lmdb_file import is_lmdb_address, read_image_bytes

MAX_SCANNED_PIXELS = 12 * MAX_PIXELS
"""Pixels times scans of a JPEG; decoding goes through the picture once a scan. Progressive ones mostly have 10."""

_LUMINANCE = np.array([0.299, 0.587, 0.114])
_NO_DATA = 128  # the luminance that decoders paint where the data of a JPEG's block are missing
_FAINTEST = 1 << 14  # the brightest value of a 16-bit image that is not far too dark

_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


@TRANSFORMS.register_module()
class LoadReferringImage(BaseTransform):
    """Read an image file as 8-bit RGB.

    The picture is taken upright, as viewers show it: its EXIF orientation is applied. With ``ignore_orientation`` it
    is taken as it is stored, which is what COCO's and other older annotations were drawn on.

    Required Keys:

    - img_path (str, a file or an address in an LMDB file)
    - ignore_orientation (bool, optional; False by default)

    Added Keys:

    - img (np.ndarray, uint8, (H, W, 3), RGB)
    - ori_shape (tuple[int, int], H and W)
    - img_shape (tuple[int, int], H and W)
    """

    touches = 'image'

    def transform(self, results: dict) -> dict:
        """Read the image that ``img_path`` names.

        Raises:
            MissingInputError: there is no such file.
            FileError: it cannot be read.
            InputError: it is no regular file, empty, cut off or not an image.
        """
        img = read_image(results['img_path'], results.get('ignore_orientation', False))
        results['img'] = img
        results['ori_shape'] = results['img_shape'] = img.shape[:2]
        return results


def read_image(path: str | Path, ignore_orientation: bool = False) -> np.ndarray:
    """Read an image file as 8-bit RGB (H, W, 3) and refuse it if it is not whole.

    Args:
        path: the file, or the address of an image in an LMDB file, ``lmdb:///a/data.lmdb#images/b.jpg``.
        ignore_orientation: whether to take the picture as it is stored, whatever its EXIF orientation. Default False,
            upright.

    Raises:
        MissingInputError: there is no such file.
        FileError: it cannot be read.
        InputError: it is no regular file, or as :func:`decode_image`.
    """
    return decode_image(image_bytes(path), path, ignore_orientation)


def image_bytes(path: str | Path) -> bytes:
    """What an image's file holds.

    Args:
        path: as :func:`read_image` takes it.

    Raises:
        MissingInputError: there is no such file.
        FileError: it cannot be read.
        InputError: it is no regular file, or has more than ``MAX_IMAGE_BYTES``.
    """
    if is_lmdb_address(path):
        return read_image_bytes(str(path))
    try:
        return read_regular(path, MAX_IMAGE_BYTES)
    except MissingInputError:
        raise MissingInputError(f'The image {path} is missing. Put it there, or set data_root and '
                                "data_prefix=dict(img_path=...) to the folder which holds it.") from None


def decode_image(content: bytes, path: str | Path, ignore_orientation: bool = False) -> np.ndarray:
    """Decode an image as 8-bit RGB (H, W, 3) and refuse it if it is not whole.

    JPEG, PNG, WebP, BMP, GIF, TIFF and PPM are decoded: grey, RGB, indexed and CMYK pixels. Transparency is left out,
    and of values of 16 bits the upper 8 are taken. Animations, TIFF of several pages or of other values are refused.

    Args:
        content: what the image's file holds.
        path: where it is from, for errors.
        ignore_orientation: as :func:`read_image` takes it. Default False.

    Raises:
        InputError: the image is empty, cut off, none, of several pictures, almost black because its values fill 16 bits
            only in part, or declares more pixels than :data:`mmrefseg.utils.image_header.MAX_PIXELS`, or, of all scans
            of a JPEG, than :data:`MAX_SCANNED_PIXELS`.
    """
    if not content:
        raise InputError(f'The image {path} is empty (0 bytes). Copy or download it again.')
    decode = _decode_jpeg if content.startswith(JPEG_START) else _decode_other
    try:
        return decode(content, ignore_orientation)
    except InputError as error:
        raise InputError(f'The image {path} cannot be decoded: {error}.') from error


def _decode_jpeg(content: bytes, ignore_orientation: bool) -> np.ndarray:
    structure = read_jpeg(content)
    if not structure.end:
        raise InputError(f'it is cut off or damaged: the JPEG of {len(content)} bytes does not go on to its end '
                         'marker. Copy or download it again')
    check_pixels(structure.height, structure.width)
    if structure.scans * structure.height * structure.width > MAX_SCANNED_PIXELS:
        raise InputError(f'its {structure.scans} scans of {structure.width} x {structure.height} pixels would take '
                         f'far too long (at most {MAX_SCANNED_PIXELS} pixels are scanned). Save it again as an '
                         'ordinary JPEG if you trust it, else remove it')
    img = _pixels(content, _STORED)
    if _ends_in_nothing(img, content, structure.end):
        raise InputError('it is cut off: the data end before the picture does, though an end marker follows. Copy or '
                         'download it again')
    if ignore_orientation or not structure.exif:
        return img
    return turn_upright(img, orientation_of(structure.exif))


def _ends_in_nothing(img: np.ndarray, content: bytes, end: int) -> bool:
    """Whether the data stop before the last block of a JPEG.

    It is grey then, and changes with more data behind; that of a whole picture stays as it is.
    """
    if np.abs(img[-2:, -2:] @ _LUMINANCE - _NO_DATA).max() > 2:
        return False
    longer = content[:end] + bytes(range(1, 255)) + JPEG_END
    return not np.array_equal(_quietly_decoded(content), _quietly_decoded(longer))


def _quietly_decoded(content: bytes) -> np.ndarray:
    """By Pillow: OpenCV would print a warning that the data are corrupt."""
    try:
        with Image.open(BytesIO(content), formats=['JPEG']) as image:
            return np.asarray(image)
    except PILLOW_ERRORS as error:
        raise InputError(f'it is damaged or cut off ({error}). Copy or download it again') from error


def _decode_other(content: bytes, ignore_orientation: bool) -> np.ndarray:
    header = header_of(content)
    # As BGR: some versions of OpenCV leave 16-bit TIFF unfilled if asked for RGB.
    bgr = _pixels(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    img = cv2.cvtColor(to_8_bits(bgr), cv2.COLOR_BGR2RGB)
    if header.format == 'TIFF':  # which OpenCV always turns
        img = turn_back(img, header.orientation) if ignore_orientation else img
    elif not ignore_orientation:
        img = turn_upright(img, header.orientation)
    expected = (header.height, header.width) if ignore_orientation else header.upright_size
    if img.shape[:2] != expected:
        raise InputError(f'its header declares {expected} (H, W), but it holds {img.shape[:2]}. Save it again as PNG')
    return img


def _pixels(content: bytes, flags: int) -> np.ndarray:
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise InputError(f'OpenCV refuses it ({error})') from error
    if img is None:
        raise InputError(f'it is damaged, cut off, of a kind that is not read or not an image ({len(content)} bytes). '
                         'Copy or download it again, or save it as PNG')
    return img


def to_8_bits(img: np.ndarray) -> np.ndarray:
    """Keep the upper 8 bits of 16-bit values.

    Args:
        img: uint8, which stays as it is, or uint16.

    Raises:
        InputError: it is of another type, or fills its 16 bits only in part, so that it would be almost black.
    """
    if img.dtype == np.uint8:
        return img
    if img.dtype != np.uint16:
        raise InputError(f'its pixels are of type {img.dtype}. Scale them to 0 to 255 and save it as an 8-bit PNG')
    if 0 < (brightest := int(img.max())) < _FAINTEST:
        bits = max(brightest.bit_length(), 8)
        raise InputError(f'its pixels have 16 bits, but no value is above {brightest}, so that it would be almost '
                         f'black. Values of {bits} bits must be scaled to the whole range (times {1 << 16 - bits}), '
                         'or to 0 to 255 and saved with 8 bits')
    return (img >> 8).astype(np.uint8)


@TRANSFORMS.register_module()
class LoadReferringMask(BaseTransform):
    """Draw the referent's mask at the image's original size.

    Polygons are united: a pixel inside two of them belongs to the referent. In a test pipeline this transform stands
    behind ``Letterbox`` or ``Stretch``, so that the ground truth keeps the original size.

    Required Keys:

    - segmentation (any form of :func:`~mmrefseg.structures.mask_formats.draw_mask`)
    - ori_shape (tuple[int, int], H and W of the image as it was read)
    - height, width (int, what the annotations believe the image to be)
    - ann_id (int) and img_path (str), to name in errors

    Modified Keys:

    - seg_fields (list[str])

    Added Keys:

    - gt_seg_map (np.ndarray, uint8, (H, W), 1 on the referent)
    """

    touches = 'annotation'

    def transform(self, results: dict) -> dict:
        """Draw the mask from ``segmentation``.

        Raises:
            InputError: the image does not have the size for which it was annotated, or the segmentation cannot be drawn
                at that size.
        """
        if results.get('flip'):
            raise InputError('LoadReferringMask must stand before FlipReferring, which mirrors the mask.')
        where = f'annotation {results["ann_id"]} of the image {results["img_path"]}'
        shape, annotated = tuple(results['ori_shape']), (results['height'], results['width'])
        if shape != annotated:
            raise InputError(f'The image {results["img_path"]} {wrong_size(shape, annotated)}.')
        try:
            results['gt_seg_map'] = draw_mask(results['segmentation'], *shape)
        except InputError as error:
            raise InputError(f'The mask of {where} cannot be drawn: {error}') from error
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results


def wrong_size(shape: tuple[int, int], annotated: tuple[int, int]) -> str:
    """What to say of an image that has another size than its annotations want.

    Args:
        shape: the image's height and width in pixels.
        annotated: height and width for which the annotations were made.
    """
    mend = 'Use the original image file'
    if shape == annotated[::-1]:
        mend += ('; or, if it carries an EXIF orientation, set ignore_orientation: True if the annotations were made '
                 'on the picture as it is stored, False if on the upright one')
    return f'is {shape} (H, W), but its annotations were made for {annotated}. {mend}'
