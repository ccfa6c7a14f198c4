"""COCO's description of a visible region."""
import cv2
import numpy as np

ENLARGEMENT = 4
"""Outlines are traced on an enlarged mask: traced at its own size they would miss half a pixel on every side."""
TOLERANCE = 0.5
"""Greatest distance in pixels by which a simplified outline may leave the traced one; from 0.53 on, single pixels would
shrink to a line, which is no polygon."""


def _trace(mask: np.ndarray) -> tuple[list[np.ndarray], bool]:
    """Outer outlines in pixels, simplified, and whether there are holes within them."""
    fine = cv2.resize(mask, None, fx=ENLARGEMENT, fy=ENLARGEMENT, interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = [contour for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] < 0]
    simple = [cv2.approxPolyDP(contour, TOLERANCE * ENLARGEMENT, True)[:, 0] for contour in outer]
    return [(outline + 0.5) / ENLARGEMENT for outline in simple], len(outer) < len(contours)


def _run_lengths(mask: np.ndarray) -> dict:
    """COCO's uncompressed run lengths: column by column, background first."""
    flat = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {'counts': [0, *counts] if flat[0] else counts, 'size': list(mask.shape)}


def trace_pixels(mask: np.ndarray) -> list[list[list[int]]]:
    """Outlines through the outermost pixels of a region, which give it back when filled as PhraseCut's are.

    A region with a hole is cut in two there, since outlines cannot have any.

    Args:
        mask: uint8 (H, W), 1 inside.

    Returns:
        Outlines of at least two points [x, y] each.
    """
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for contour, links in zip(contours, () if hierarchy is None else hierarchy[0], strict=True):
        if links[3] >= 0:
            left, _, width, _ = cv2.boundingRect(contour)
            halves = np.stack([mask, mask])
            cut = left + width // 2
            halves[0, :, cut:] = halves[1, :, :cut] = 0
            return [*trace_pixels(halves[0]), *trace_pixels(halves[1])]
    outlines = [contour[:, 0].tolist() for contour in contours]
    return [outline * 2 if len(outline) == 1 else outline for outline in outlines]


def annotate(mask: np.ndarray) -> dict:
    """Describe a region as ``instances.json`` does: polygons, one a part, or run lengths where it has holes.

    Args:
        mask: uint8 (H, W), 1 inside; not empty.

    Returns:
        ``segmentation``, ``area`` (float, pixels), ``bbox`` (x, y, w, h in pixels), ``iscrowd`` (1 with run lengths, as
        in COCO).
    """
    left, top, width, height = cv2.boundingRect(mask)
    outlines, has_holes = _trace(mask[top:top + height, left:left + width])
    if has_holes:
        segmentation = _run_lengths(mask)
    else:
        segmentation = [np.round(outline + np.array([left, top]), 2).ravel().tolist() for outline in outlines]
    return {
        'segmentation': segmentation,
        'area': float(np.count_nonzero(mask)),
        'bbox': [float(value) for value in (left, top, width, height)],
        'iscrowd': int(has_holes),
    }
