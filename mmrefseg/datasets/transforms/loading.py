"""Transforms that bring the image and the mask into the pipeline."""
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import TRANSFORMS
from mmrefseg.structures.masks import draw_mask
from mmrefseg.utils.files import MAX_IMAGE_BYTES, read_regular
from mmrefseg.utils.image_size import MAX_PIXELS, read_image_size
from mmrefseg.utils.lmdb_file import is_lmdb_address, read_image_bytes

# Markers of baseline and progressive frames, and of the segments that may stand before them.
_JPEG_FRAMES = b'\xc0\xc1\xc2'
_JPEG_SEGMENTS = _JPEG_FRAMES + b'\xc4\xdb\xdd\xfe' + bytes(range(0xe0, 0xf0))
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'


@TRANSFORMS.register_module()
class LoadReferringImage(BaseTransform):
    """Read an image file as 8-bit RGB.

    The EXIF orientation is ignored, as in COCO's own tools: the annotations are drawn on the stored pixels.

    Required Keys:

    - img_path (str, a file or an address in an LMDB file)

    Added Keys:

    - img (np.ndarray, uint8, (H, W, 3), RGB)
    - ori_shape (tuple[int, int], H and W)
    - img_shape (tuple[int, int], H and W)
    """

    def transform(self, results: dict) -> dict:
        """Read ``img_path``.

        Raises:
            MissingInputError: If there is no such file.
            InputError: If the file is empty, cut off or not an image.
        """
        img = read_image(results['img_path'])
        results['img'] = img
        results['ori_shape'] = results['img_shape'] = img.shape[:2]
        return results


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as 8-bit RGB (H, W, 3) and refuse it if it is not whole.

    Args:
        path (str | Path): The file, or the address of an image in an LMDB file, ``lmdb:///a/data.lmdb#images/b.jpg``.

    Raises:
        MissingInputError: If there is no such file.
        InputError: If the file is empty, cut off, not an image, or declares more pixels than
            :data:`mmrefseg.utils.image_size.MAX_PIXELS`.
    """
    return decode_image(image_bytes(path), path)


def image_bytes(path: str | Path) -> bytes:
    """What an image's file holds.

    Args:
        path (str | Path): As :func:`read_image` takes it.

    Raises:
        MissingInputError: If there is no such file.
    """
    if is_lmdb_address(path):
        return read_image_bytes(str(path))
    try:
        return read_regular(path, MAX_IMAGE_BYTES)
    except MissingInputError:
        raise MissingInputError(f'The image {path} is missing. Put it there, or set data_root and '
                                "data_prefix=dict(img_path=...) to the folder which holds it.") from None


def decode_image(content: bytes, path: str | Path) -> np.ndarray:
    """Decode an image as 8-bit RGB (H, W, 3) and refuse it if it is not whole.

    Args:
        content (bytes): What the image's file holds.
        path (str | Path): Where it is from, for errors.

    Raises:
        InputError: If the image is empty, cut off, none, or declares more pixels than
            :data:`mmrefseg.utils.image_size.MAX_PIXELS`.
    """
    if not content:
        raise InputError(f'The image {path} is empty (0 bytes). Copy or download it again.')
    if _is_cut_off_jpeg(content):
        raise InputError(f'The image {path} is cut off: the JPEG ends after {len(content)} bytes without its end '
                         'marker. Copy or download it again.')
    try:
        if not 0 < _jpeg_pixels(content) <= MAX_PIXELS:
            read_image_size(BytesIO(content))
        img = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except (ValueError, cv2.error) as error:
        raise InputError(f'The image {path} cannot be decoded: {error}') from error
    if img is None:
        raise InputError(f'The image {path} cannot be decoded: it is damaged, cut off or not an image '
                         f'({len(content)} bytes). Copy or download it again.')
    return img


def _jpeg_pixels(content: bytes) -> int:
    """Number of pixels in the header of an ordinary JPEG; 0 of anything else, for which Pillow takes its time."""
    place = len(_JPEG_START)
    while content.startswith(b'\xff', place) and len(content) > place + 9 and content[place + 1] in _JPEG_SEGMENTS:
        if content[place + 1] in _JPEG_FRAMES:
            return int.from_bytes(content[place + 5:place + 7]) * int.from_bytes(content[place + 7:place + 9])
        place += 2 + int.from_bytes(content[place + 2:place + 4])
    return 0


def _is_cut_off_jpeg(content: bytes) -> bool:
    """Whether a JPEG stops before its end, which some versions of OpenCV paint over in grey without an error.

    A marker cannot occur by chance in the compressed data of a scan, so a whole file has no start of a scan behind
    its last end marker; the only other end marker is that of a thumbnail in the header.
    """
    if not content.startswith(_JPEG_START):
        return False
    end = content.rfind(_JPEG_END)
    return end < 0 or content.find(_JPEG_SCAN, end) >= 0


@TRANSFORMS.register_module()
class LoadReferringMask(BaseTransform):
    """Draw the referent's mask at the image's original size.

    Polygons are united: a pixel inside two of them belongs to the referent. In a test pipeline this transform stands
    behind ``Letterbox`` or ``Stretch``, so that the ground truth keeps the original size.

    Required Keys:

    - segmentation (any form of :func:`~mmrefseg.structures.masks.draw_mask`)
    - ori_shape (tuple[int, int], H and W of the image as it was read)
    - height, width (int, what the annotations believe the image to be)
    - ann_id (int) and img_path (str), to name in errors

    Modified Keys:

    - seg_fields (list[str])

    Added Keys:

    - gt_seg_map (np.ndarray, uint8, (H, W), 1 on the referent)
    """

    def transform(self, results: dict) -> dict:
        """Draw ``segmentation``.

        Raises:
            InputError: If the image does not have the size for which it was annotated, or the segmentation cannot be
                drawn at that size.
        """
        if results.get('flip'):
            raise InputError('LoadReferringMask must stand before FlipReferring, which mirrors the mask.')
        where = f'annotation {results["ann_id"]} of the image {results["img_path"]}'
        shape, annotated = tuple(results['ori_shape']), (results['height'], results['width'])
        if shape != annotated:
            raise InputError(f'The image {results["img_path"]} is {shape} (H, W), but its annotations were made '
                             f'for {annotated}. Use the original image file.')
        try:
            results['gt_seg_map'] = draw_mask(results['segmentation'], *shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f'The mask of {where} cannot be drawn: {error}') from error
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
