"""Transforms that bring the image and the mask into the pipeline."""
import re
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as mask_utils

from mmrefseg.registry import TRANSFORMS

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
# COCO's RLE string: groups of 5 bits, of which all but the last of a number carry a sixth. A string that ends inside
# a number would send pycocotools beyond its end.
_RLE_STRING = re.compile('[0-o]*[0-O]')


@TRANSFORMS.register_module()
class LoadReferringImage(BaseTransform):
    """Read an image file as 8-bit RGB.

    The EXIF orientation is ignored, as in COCO's own tools: the annotations are drawn on the stored pixels.

    Required Keys:

    - img_path (str)

    Added Keys:

    - img (np.ndarray, uint8, (H, W, 3), RGB)
    - ori_shape (tuple[int, int], H and W)
    - img_shape (tuple[int, int], H and W)
    """

    def transform(self, results: dict) -> dict:
        """Read ``img_path``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is empty, cut off or not an image.
        """
        img = read_image(results['img_path'])
        results['img'] = img
        results['ori_shape'] = results['img_shape'] = img.shape[:2]
        return results


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as 8-bit RGB (H, W, 3) and refuse it if it is not whole.

    Args:
        path (str | Path): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, cut off or not an image.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'The image {path} is missing. Put it there, or set data_root and '
                                "data_prefix=dict(img_path=...) to the folder which holds it.") from None
    if not content:
        raise ValueError(f'The image {path} is empty (0 bytes). Copy or download it again.')
    if _is_cut_off_jpeg(content):
        raise ValueError(f'The image {path} is cut off: the JPEG ends after {len(content)} bytes without its end '
                         'marker. Copy or download it again.')
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f'The image {path} cannot be decoded: {error}') from error
    if img is None:
        raise ValueError(f'The image {path} cannot be decoded: it is damaged, cut off or not an image '
                         f'({len(content)} bytes). Copy or download it again.')
    return cv2.cvtColor(img, cv2.COLOR_BGR2RGB, dst=img)


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

    - segmentation (list[list[float]] | dict, COCO polygons or RLE)
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
            ValueError: If the image does not have the size for which it was annotated, if the RLE has another size,
                or if the segmentation is damaged or has no polygon with an area.
        """
        if results.get('flip'):
            raise ValueError('LoadReferringMask must stand before FlipReferring, which mirrors the mask.')
        where = f'annotation {results["ann_id"]} of the image {results["img_path"]}'
        shape, annotated = tuple(results['ori_shape']), (results['height'], results['width'])
        if shape != annotated:
            raise ValueError(f'The image {results["img_path"]} is {shape} (H, W), but its annotations were made '
                             f'for {annotated}. Use the original image file.')
        segmentation = results['segmentation']
        draw = rle_to_mask if isinstance(segmentation, dict) else polygons_to_mask
        try:
            results['gt_seg_map'] = draw(segmentation, *shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f'The mask of {where} cannot be drawn: {error}') from error
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results


def polygons_to_mask(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    """Unite COCO polygons into one mask.

    Args:
        polygons (list[list[float]]): ``[x1, y1, x2, y2, ...]`` each; those of fewer than three points are skipped.
        height (int): Height of the mask in pixels.
        width (int): Width of the mask in pixels.

    Returns:
        np.ndarray: (H, W), uint8, 1 inside.

    Raises:
        ValueError: If no polygon has three points, or a coordinate is missing or far from the image.
    """
    outlines = [np.asarray(polygon, np.float64) for polygon in polygons if len(polygon) >= 6]
    if not outlines:
        raise ValueError(f'none of its {len(polygons)} polygons has three points or more')
    # pycocotools walks along every edge, so a hostile coordinate would cost time and memory without end.
    farthest = 4 * max(height, width)
    for outline in outlines:
        if outline.ndim != 1 or len(outline) % 2 or not np.abs(outline).max() <= farthest:
            raise ValueError(f'a polygon must be a flat list of x, y pairs near the image of {(height, width)} (H, W)')
    return mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(outlines, height, width)))


def rle_to_mask(rle: dict, height: int, width: int) -> np.ndarray:
    """Decode a COCO RLE.

    Args:
        rle (dict): ``size`` [H, W] and ``counts``, a list of run lengths or COCO's compressed string.
        height (int): Height of the mask in pixels.
        width (int): Width of the mask in pixels.

    Returns:
        np.ndarray: (H, W), uint8, 1 inside.

    Raises:
        ValueError: If the size differs, or the counts are damaged.
    """
    if tuple(rle.get('size', ())) != (height, width):
        raise ValueError(f'its RLE must have the size [{height}, {width}] of the image, got {rle.get("size")}')
    counts = rle.get('counts')
    if isinstance(counts, list):
        rle = mask_utils.frPyObjects(rle, height, width)
    elif not isinstance(counts, str) or not _RLE_STRING.fullmatch(counts):
        raise ValueError("the 'counts' of its RLE must be a list of run lengths or COCO's compressed string")
    mask = mask_utils.decode(rle)
    # Where the runs end before the image does, pycocotools leaves what happened to be in memory.
    if np.count_nonzero(mask) != mask_utils.area(rle):
        raise ValueError(f'the runs of its RLE do not fill the image of {(height, width)} (H, W)')
    return mask
