"""All that belongs to one image, made from its own random numbers: pixels, COCO's description and expressions."""

import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from .expressions import describe
from .objects_of_phrase import Thing
from .scene import COLOURS, HELD_OUT, SPLITS, Item, Scene, sample_scene


class Style(NamedTuple):
    """How scenes are painted; what is on them, and what is said of it, no style changes.

    Args:
        pattern: greatest brightness that the background's pattern adds or takes, of 255.
        noise: least and greatest standard deviation of the noise, of 255.
        light: what red, green and blue of the whole picture are multiplied by.
        hatching: how far stripes of the background show through the objects, 0 to 1.
    """
    pattern: float
    noise: tuple[float, float]
    light: tuple[float, float, float]
    hatching: float


STYLES: Mapping[str, Style] = MappingProxyType({
    'plain': Style(16, (3, 10), (1, 1, 1), 0),
    'dusk': Style(60, (8, 16), (0.4, 0.45, 0.7), 0.9),
})
"""Name → style: objects in full colours by daylight; or hatched ones by little, bluish light, which a model that was
trained on the former does not know."""


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A pattern of waves in [-1, 1]: stripes, or checks where two waves cross; (H, W) float32."""
    height, width = shape
    period = rng.uniform(5, 18)
    angle = rng.uniform(0, math.pi)
    phase = rng.uniform(0, 2 * math.pi, 2)
    y, x = np.ogrid[:height, :width]
    turned_x = (x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / period)
    waves = np.sin(turned_x.astype(np.float32) + np.float32(phase[0]))
    if rng.random() < 0.5:
        turned_y = (y * math.cos(angle) - x * math.sin(angle)) * (2 * math.pi / period)
        waves = waves * np.sin(turned_y.astype(np.float32) + np.float32(phase[1]))
    return waves


def _background(shape: tuple[int, int], pattern: float, rng: np.random.Generator) -> np.ndarray:
    """A dull mid-tone with blotches and a pattern; float32 (3, H, W)."""
    tone = rng.uniform(80, 165) + rng.uniform(-16, 16, 3)
    cells = int(rng.integers(3, 9))
    blotches = rng.normal(0, rng.uniform(8, 18), (cells, cells, 3)).astype(np.float32)
    ground = np.stack(cv2.split(cv2.resize(blotches, shape[::-1], interpolation=cv2.INTER_CUBIC)))
    ground += tone.astype(np.float32)[:, None, None]
    ground += np.float32(rng.uniform(0, pattern)) * _texture(shape, rng)
    return ground


@cache
def _ramp(length: int) -> np.ndarray:
    return np.linspace(-1, 1, length)


def _paint(canvas: np.ndarray, item: Item, hatching: float, rng: np.random.Generator) -> None:
    """Blend one object into the canvas (3, H, W): jittered colour, light from one side, a rim that parts equals."""
    colour = np.array(COLOURS[item.colour], np.float32) + rng.uniform(-12, 12, 3).astype(np.float32)
    height, width = item.patch.shape
    slope_y, slope_x = rng.uniform(-0.15, 0.15, 2)
    light = 1 + slope_y * _ramp(height)[:, None] + slope_x * _ramp(width)[None]
    inside = cv2.erode(item.patch, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rim_colour = (colour * 0.55 if colour.mean() > 60 else colour + 70)[:, None, None]
    shaded = colour[:, None, None] * light.astype(np.float32)
    shaded -= rim_colour
    shaded *= inside
    shaded += rim_colour
    region = canvas[(slice(None), *item.window)]
    opacity = item.patch
    if hatching:
        opacity = opacity * (1 - np.float32(hatching) * inside * (_texture(item.patch.shape, rng) > 0.2))
    shaded -= region
    shaded *= opacity
    region += shaded


def render(scene: Scene, rng: np.random.Generator, style: Style = STYLES['plain']) -> np.ndarray:
    """Draw a scene as an image.

    Args:
        scene: items from the farthest to the nearest.
        rng: source of colours' jitter, light, texture and noise.
        style: how it is painted. Default ``STYLES['plain']``.

    Returns:
        Uint8 (H, W, 3), RGB.
    """
    canvas = _background(scene.labels.shape, style.pattern, rng)
    for item in scene.items:
        _paint(canvas, item, style.hatching, rng)
    canvas *= np.array(style.light, np.float32)[:, None, None]
    strength = rng.uniform(*style.noise)
    noisy = rng.standard_normal((*scene.labels.shape, 3), dtype=np.float32)
    noisy *= strength
    noisy += canvas.transpose(1, 2, 0)
    return np.clip(np.rint(noisy, out=noisy), 0, 255, out=noisy).astype(np.uint8)


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


JPEG_QUALITY = 95
RANDOM_STREAMS = (*SPLITS, 'test', 'miniv')
"""Splits whose images differ; the last two are PhraseCut's. Those of one name have the same images in any format."""
RAW_STYLES = (str, str, str.capitalize, str.upper, '{}.'.format)


class PictureTask(NamedTuple):
    """Which image to make, and all that it depends on.

    Args:
        seed: seed of the data set.
        split: one of ``RANDOM_STREAMS``.
        index: number of the image within its split, from 0.
        image_size: width and height in pixels.
        style: one of ``STYLES``. Default ``'plain'``.
    """
    seed: int
    split: str
    index: int
    image_size: tuple[int, int]
    style: str = 'plain'

    def rng(self) -> np.random.Generator:
        """The image's own random numbers; the scene takes the first of them."""
        return np.random.default_rng([self.seed, RANDOM_STREAMS.index(self.split), self.index])


class Sentence(NamedTuple):
    """One expression of a referent, with its kind.

    Args:
        sent: the clean text.
        raw: the text as typed.
        kind: how it refers, one of ``KINDS``.
    """
    sent: str
    raw: str
    kind: str


class ShapeReferent(NamedTuple):
    """One object, and its expressions.

    Args:
        shape: its shape's name.
        annotation: COCO's description of it, as :func:`annotate` gives it.
        sentences: its expressions; none where it is no referent.
    """
    shape: str
    annotation: dict
    sentences: list[Sentence]


class Picture(NamedTuple):
    """One image, and its objects.

    Args:
        jpeg: the image's file.
        objects: one per object of the scene.
    """
    jpeg: bytes
    objects: list[ShapeReferent]


def _thing(item: Item, annotation: dict, image_size: tuple[int, int]) -> Thing:
    left, top, width, height = annotation['bbox']
    centre_x, centre_y = left + width / 2, top + height / 2
    unit = min(image_size)
    whole = np.count_nonzero(item.patch >= 0.5)
    return Thing(item.shape, item.colour, centre_x / image_size[0], centre_y / image_size[1],
                 centre_x / unit, centre_y / unit, annotation['area'] ** 0.5 / unit, whole ** 0.5 / unit)


class Drawing(NamedTuple):
    """One image without expressions yet.

    Args:
        jpeg: the image's file.
        scene: what is on it.
        annotations: COCO's description of each object.
        things: what expressions can say of each object.
        rng: the random numbers that are left for the expressions.
    """
    jpeg: bytes
    scene: Scene
    annotations: list[dict]
    things: list[Thing]
    rng: np.random.Generator


def draw_picture(task: PictureTask) -> Drawing:
    """Draw one image; nothing but the task decides what it looks like.

    Args:
        task: which image.
    """
    rng = task.rng()
    scene = sample_scene(task.split, task.image_size, rng)
    image = render(scene, rng, STYLES[task.style])
    _, jpeg = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])

    annotations = [annotate((scene.labels == index).view(np.uint8)) for index in range(len(scene.items))]
    things = [_thing(item, annotation, task.image_size)
              for item, annotation in zip(scene.items, annotations, strict=True)]
    return Drawing(jpeg.tobytes(), scene, annotations, things, rng)


def make_picture(task: PictureTask) -> Picture:
    """Make one image and expressions that fit one of its objects each.

    Args:
        task: which image.

    Returns:
        In testB only objects of held-out combinations have sentences.
    """
    jpeg, scene, annotations, things, rng = draw_picture(task)
    objects = []
    for item, annotation, texts in zip(scene.items, annotations, describe(things, rng), strict=True):
        if task.split == 'testB' and (item.shape, item.colour) not in HELD_OUT:
            texts = []
        styles = rng.integers(len(RAW_STYLES), size=len(texts))
        sentences = [Sentence(text, RAW_STYLES[style](text), kind)
                     for (text, kind), style in zip(texts, styles, strict=True)]
        objects.append(ShapeReferent(item.shape, annotation, sentences))
    return Picture(jpeg, objects)
