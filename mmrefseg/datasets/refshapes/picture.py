"""All that belongs to one image, made from its own random numbers."""
from typing import NamedTuple

import cv2
import numpy as np

from .annotation import annotate
from .expressions import describe
from .extension import Thing
from .render import render
from .scene import HELD_OUT, SPLITS, Item, Scene, sample_scene

JPEG_QUALITY = 95
RANDOM_STREAMS = (*SPLITS, 'test', 'miniv')
"""Splits whose images differ; the last two are PhraseCut's. Those of one name have the same images in any format."""
RAW_STYLES = (str, str, str.capitalize, str.upper, '{}.'.format)


class PictureTask(NamedTuple):
    """Which image to make.

    Args:
        seed: seed of the data set.
        split: one of ``RANDOM_STREAMS``.
        index: number of the image within its split, from 0.
        image_size: width and height in pixels.
    """
    seed: int
    split: str
    index: int
    image_size: tuple[int, int]

    def rng(self) -> np.random.Generator:
        """The image's own random numbers; the scene takes the first of them."""
        return np.random.default_rng([self.seed, RANDOM_STREAMS.index(self.split), self.index])


class Sentence(NamedTuple):
    """One expression.

    Args:
        sent: the clean text.
        raw: the text as typed.
        kind: how it refers, one of ``KINDS``.
    """
    sent: str
    raw: str
    kind: str


class Referent(NamedTuple):
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
    objects: list[Referent]


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
    image = render(scene, rng)
    _, jpeg = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])

    annotations = [annotate((scene.labels == index).astype(np.uint8)) for index in range(len(scene.items))]
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
        objects.append(Referent(item.shape, annotation, sentences))
    return Picture(jpeg, objects)
